"""Finds the kernels that are to blame when a program and the interpreter end in other bits.

    python -m tests.support.first_difference model.onnx [--batch 2] [--variant portable] [--recipe niti]

Runs a training step of one variant group by group: each group's kernel and the references of its operators, on the
same operands. Prints every group whose kernel gives something else, in the order of the step; all start from what the
references gave, so that an error does not spread. Where nothing is printed, the difference comes from what lies between
the kernels: places in memory, the order of the calls, or the runtime.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic import targets
from nitic.arithmetic.integers import Array
from nitic.driver.build import build_program
from nitic.ir.function import arguments, function
from nitic.ir.op import NnOp
from nitic.ops.fused import FusedOp
from nitic.options import CompileOptions
from nitic.pipeline import run_passes, target_passes
from tests.kernels.harness import compiled, meaning, stored
from tests.support.bits import Run

Kernel = Callable[[Sequence[Array], int], list[Array]]


def differences(func: FuncOp, inputs: Mapping[str, Array | int], variant: str) -> Iterator[str]:
    """A paragraph for every group whose kernel disagrees with its operators' references."""
    values: dict[SSAValue, Array] = {arg: np.asarray(inputs[label.name]) for label, arg in arguments(func)}
    kernels: dict[str, Kernel] = {}
    for op in func.body.block.ops:
        operands = [values[v] for v in op.operands]
        if isinstance(op, NnOp):  # a view of a tensor is no call
            values[op.result] = np.asarray(op.reference(*operands))
        elif isinstance(op, FusedOp):
            assert op.kernel is not None
            kernel = kernels[op.kernel.data] = kernels.get(op.kernel.data) or compiled(op, variant)
            values.update(zip(op.results, meaning(op, operands), strict=True))
            for i, (result, found) in enumerate(zip(op.results, kernel(operands, 2), strict=True)):
                if wrong := np.count_nonzero(found != stored(result.type, values[result])):
                    yield f"{wrong} of {found.size} elements of result {i} differ\n{op}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--variant", default="avx512vnni")
    parser.add_argument("--recipe", default="niti16")
    parser.add_argument("--init", default="xavier")
    options = parser.parse_args()
    target = next(each.name for each in targets.TARGETS.values() if options.variant in {v.name for v in each.variants})
    program = build_program(
        CompileOptions(options.model, batch_size=options.batch, recipe=options.recipe, init=options.init, target=target)
    )
    rng, net = np.random.default_rng(0), Run(program, rate_shift=2)
    x = rng.integers(0, 256, program.input_shape, np.uint8)
    net.normalise(x)
    inputs = net.inputs(x, rng.integers(0, program.classes, options.batch))
    module = program.module.clone()
    run_passes(module, target_passes(options.variant))
    for text in differences(function(module, "train_step"), inputs, options.variant):
        print(text, flush=True)


if __name__ == "__main__":
    main()
