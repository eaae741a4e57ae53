"""Files of many ONNX writers: has them written, measures what nitic makes of each, and writes docs/writers.md.

    python -m benchmarks.zoo.writers                            all of them
    python -m benchmarks.zoo.writers --writers 'keras_*,spox'   those of some writers
    python -m benchmarks.zoo.writers --files 'lenet-*'          files of some names

Each script of scripts/ runs in an environment of its own, which is made in --folder and takes up to 2 GB. Then each
stage of each file is a process. One JSON line per stage goes to --log; stages that ran are not repeated, so an
interrupted call goes on: `--again` repeats those of the chosen files, as after a change of the compiler.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.zoo.writers.files import File, files
from benchmarks.zoo.writers.measure import STAGES, run_stage
from benchmarks.zoo.writers.table import write_table

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
PINS = "# requirements: "
ORDER = ["torch_exporters"]
"""The scripts whose files others read: they run first."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Script:
    """What writes the files of a writer."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def requirements(self) -> list[str]:
        first = self.path.read_text().partition("\n")[0]
        return first.removeprefix(PINS).split() if first.startswith(PINS) else []

    def environment(self, folder: Path) -> Path:
        """The Python of an environment that has what the script needs."""
        venv, pins = folder / "venvs" / self.name, "\n".join(self.requirements())
        stamp = venv / "requirements.txt"
        if not stamp.exists() or stamp.read_text() != pins:
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            pip = [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *self.requirements()], check=True)
            stamp.write_text(pins)
        return venv / "bin/python"

    def run(self, folder: Path) -> Record:
        """Has the files written. Gives the problem, if there is one."""
        python = self.environment(folder)
        command = [python, "-P", "-m", f"benchmarks.zoo.writers.scripts.{self.name}", folder]
        with (folder / f"{self.name}.log").open("w") as log:
            environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
        found: Record = {"requirements": self.requirements()}
        return found if done.returncode == 0 else {**found, "problem": f"exit code {done.returncode}"}


def scripts() -> list[Script]:
    found = [Script(path) for path in (HERE / "scripts").glob("*.py")]
    pinned = [script for script in found if script.requirements()]
    return sorted(pinned, key=lambda script: (script.name not in ORDER, script.name))


class Log:
    """What has been found: one JSON line for each stage, of which the last counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.found = {self.key(record): record for record in map(json.loads, lines)}

    def add(self, record: Record) -> None:
        self.found[self.key(record)] = record
        line = json.dumps(record)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")

    @staticmethod
    def key(record: Record) -> tuple[str, ...]:
        return tuple(record.get(name, "") for name in ("script", "writer", "file", "stage"))


def write_files(chosen: list[Script], folder: Path, log: Log, again: bool) -> None:
    for script in chosen:
        record = {"script": script.name, "stage": "write"}
        before = log.found.get(Log.key(record), {})
        if again or "problem" in before or before.get("requirements") != script.requirements():
            log.add({**record, **script.run(folder)})


def measure(chosen: list[File], stages: list[str], folder: Path, log: Log, again: bool) -> None:
    """Each stage in a process of its own, which takes its memory with it."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for file in chosen:
            for stage in stages:
                record = {"writer": file.writer, "file": file.name, "stage": stage}
                if again or Log.key(record) not in log.found:
                    log.add({**record, **pool.submit(run_stage, stage, file, folder).result()})


def written(folder: Path) -> Iterator[File]:
    for manifest in sorted(folder.glob("*/manifest.jsonl")):
        yield from files(folder, manifest.parent.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", default="*", help="names or patterns of scripts, separated by commas")
    parser.add_argument("--files", default="*", help="names or patterns of files, separated by commas")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--folder", type=Path, default=Path("build/writers"), help="where files and environments go")
    parser.add_argument("--log", type=Path, default=Path("build/writers.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/writers.md"))
    parser.add_argument("--write-again", action="store_true", help="has files written that are there")
    parser.add_argument("--again", action="store_true", help="repeats what was measured")
    options = parser.parse_args()
    folder, log = options.folder.resolve(), Log(options.log.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [script for script in scripts() if _fits(script.name, options.writers)]
    write_files(chosen, folder, log, options.write_again)
    names = {script.name for script in chosen}
    everything = list(written(folder))
    wanted = [file for file in everything if file.writer in names and _fits(file.name, options.files)]
    measure([file for file in wanted if not file.failure], options.stages.split(","), folder, log, options.again)
    write_table(everything, list(log.found.values()), options.table)


def _fits(name: str, patterns: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns.split(","))


if __name__ == "__main__":
    main()
