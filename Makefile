# make demo      install nitic in .venv, compile a small CNN and train it on handwritten digits
# make test      everything continuous integration checks
# make test-gpu  binaries for GPUs against those for CPUs, on this machine's GPU: docs/cuda.md
# make test-targets  programs for other machines and the variant avx512vnni, in emulators, with Debian's packages: docs/targets.md
# make fuzz-programs  random networks, compiled: bit for bit the interpreter's   N=1000 SEED=0 JOBS=2
# make fuzz-numbers   random networks of numbers of any size: the integers beside the float stage   N=2000 SEED=0 JOBS=2
# make fuzz-exports   random networks, exported: onnxruntime beside the interpreter, bit for bit   N=500 SEED=0 JOBS=2
# make accuracy  gradients against torch; accuracy, five seeds, each recipe and torch: docs/accuracy.md   DATA=MNIST CIFAR=CIFAR-10
# make models    whole networks, exact against the interpreter, and what a step costs: docs/models.md; takes hours
# make writers   files of many ONNX writers, read beside onnxruntime, trained, exported: docs/writers.md; hours, and 10 GB of their packages
# make imagenet  pack ImageNet, train ResNet-18 and AlexNet on it: days   DATA=folder with train/ and val/
# make bench     seconds per training step beside torch; compile times and sizes; kernels
# make bench-gpu all that is to be measured on a GPU, this machine's: docs/performance.md; needs nvcc   DATA=MNIST CIFAR=CIFAR-10
# make format    format Python and C
# make clean     remove .venv and build outputs
#
# Variables: PYTHON (3.11 to 3.13), JOBS (test processes, networks at a time), THREADS (of a benchmark), SEED (of the
# demo, of random networks), N (how many of them), DATA, CIFAR.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
JOBS ?= 2
THREADS ?= 1
SEED ?= 0
DATA ?= data/mnist

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
C_SOURCES := $(wildcard runtime/*.h runtime/*/*.[ch] runtime/cuda/*.cuh runtime/cuda/ptx/*.cuh tests/emulator/*.[ch] \
	tests/emulator/*.cpp tests/emulator/*.cuh examples/*/*.[ch] examples/*/src/*.[ch] tests/runtime/*.c tests/end_to_end/*.c tests/targets/*.c benchmarks/gpu/*.cuh)

# `cross` brings a C compiler where the machine has none that links.
HAS_CC := $(shell t=$$(mktemp) && echo 'int main(void) { return 0; }' | cc -x c - -o $$t 2>/dev/null && $$t && echo yes; rm -f $$t)
comma := ,
CROSS := $(if $(HAS_CC),,$(comma)cross)

.DEFAULT_GOAL := help
FUZZ = $(BIN)/python -m tests.fuzz.$(1) $(if $(N),--count $(N)) --seed $(SEED) --jobs $(JOBS)

.PHONY: help demo test test-gpu test-targets fuzz-programs fuzz-numbers fuzz-exports lint format accuracy models writers imagenet \
	bench bench-gpu clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.demo
	$(BIN)/nitic demo --seed $(SEED)

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

test-gpu: $(VENV)/.dev
	$(BIN)/python tests/gpu/build.py build/gpu
	$(BIN)/python tests/gpu/check.py build/gpu

test-targets: $(VENV)/.dev
	$(BIN)/python -m tests.targets build/targets

fuzz-programs: $(VENV)/.dev
	$(call FUZZ,programs)

fuzz-numbers: $(VENV)/.dev
	$(call FUZZ,numbers)

fuzz-exports: $(VENV)/.dev
	$(call FUZZ,exports)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(if $(C_SOURCES),$(BIN)/clang-format --dry-run -Werror $(C_SOURCES))

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(C_SOURCES),$(BIN)/clang-format -i $(C_SOURCES))

accuracy: $(VENV)/.bench
	$(BIN)/python -m benchmarks.accuracy.gradients
	$(BIN)/python -m benchmarks.accuracy.recipes --mnist $(DATA) $(if $(CIFAR),--cifar $(CIFAR))

models: $(VENV)/.bench
	$(PIP) onnxscript huggingface_hub safetensors pyyaml
	$(PIP) --no-deps torchvision timm
	$(BIN)/python -m benchmarks.zoo.measure

writers: $(VENV)/.dev
	$(BIN)/python -m benchmarks.zoo.writers

imagenet: $(VENV)/.imagenet
	@test -d '$(DATA)/train' || { echo "give the folder that holds ImageNet's train/ and val/: make imagenet DATA=..." >&2; exit 1; }
	$(BIN)/python -m benchmarks.accuracy.imagenet --data $(DATA)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.speed.step --threads $(THREADS)
	$(BIN)/python -m benchmarks.speed.compile
	$(BIN)/python -m benchmarks.speed.kernels --batch 16

bench-gpu: $(VENV)/.bench
	$(BIN)/python -m benchmarks.gpu build build/gpu-bench
	-$(BIN)/python build/gpu-bench run --work build/gpu-work $(if $(wildcard $(DATA)),--mnist $(DATA)) $(if $(CIFAR),--cifar $(CIFAR))
	$(BIN)/python -m benchmarks.gpu table build/gpu-work/results.jsonl

clean:
	rm -rf $(VENV) build dist nitic-demo .pytest_cache .ruff_cache .hypothesis

# Each stamp says that .venv holds what one extra needs as pyproject.toml now states it.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "nitic needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=..." >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.made
	$(PIP) --editable '.[demo$(CROSS)]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	$(PIP) --editable '.[dev$(CROSS)]'
	@touch $@

$(VENV)/.imagenet: pyproject.toml $(VENV)/.made
	$(PIP) --editable '.[data$(CROSS)]'
	@touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.made
	$(PIP) --editable '.[bench$(CROSS)]'
	@touch $@
