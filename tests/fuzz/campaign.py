"""What both fuzzers share: many networks, each in a process of its own, and a report of those that fail."""

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from nitic.errors import CompileError
from tests.fuzz.networks import Case
from tests.fuzz.processes import in_own_processes
from tests.fuzz.shrink import shrink

CLEAN, REFUSED = "clean", "refused: "
MOST_REFUSED = 0.1
ALIKE = 12  # characters of a report that a smaller network's must share


def refused(error: CompileError) -> str:
    """The reason by which refusals are counted."""
    return REFUSED + re.sub(r"'[^']*'|\[[^]]*\]|\d+", "...", error.message)


@dataclass(frozen=True)
class Campaign:
    """case_of: the network of a seed and a number. examine: CLEAN, what `refused` says, or what is wrong, in text."""

    case_of: Callable[[int, int], Case]
    examine: Callable[[Case], str]
    limit_s: float

    def main(self, description: str, count: int) -> None:
        """Reads the command line, examines, and exits with 1 after a fault or too many refusals."""
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--count", type=int, default=count)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--first", type=int, default=0, help="the number of the first network")
        parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
        parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where networks that fail go")
        options = parser.parse_args()
        os.nice(5)
        cases = [self.case_of(options.seed, options.first + i) for i in range(options.count)]
        sys.exit(not self.run(cases, options.jobs, options.keep))

    def run(self, cases: list[Case], jobs: int, keep: Path) -> bool:
        """Whether all is well: no fault, and few refusals."""
        outcomes, faults = Counter[str](), 0
        for done, (case, answer) in enumerate(in_own_processes(self.examine, cases, jobs, self.limit_s), 1):
            if answer == CLEAN or answer.startswith(REFUSED):
                outcomes[answer] += 1
            else:
                faults += 1
                self.report(case, answer, keep)
            if done % 50 == 0:
                print(f"{done} networks, {faults} faults", file=sys.stderr, flush=True)
        for reason, count in outcomes.most_common():
            print(f"{count:5} {reason}")
        refusals = sum(outcomes.values()) - outcomes[CLEAN]
        print(f"{len(cases)} networks: {outcomes[CLEAN]} clean, {refusals} refused, {faults} faults", flush=True)
        return not faults and refusals <= MOST_REFUSED * len(cases)

    def report(self, case: Case, fault: str, keep: Path) -> None:
        """Prints a fault, and keeps its network as it was drawn and as small as it becomes."""
        print(f"\n{case.name} (batch {case.batch}, {case.options or 'no options'}): {fault}", flush=True)

        def still_fails(model: onnx.ModelProto) -> bool:
            """In the same way, as far as the beginning of its report tells."""
            answers = in_own_processes(self.examine, [replace(case, model=model)], 1, self.limit_s)
            return next(answers)[1][:ALIKE] == fault[:ALIKE]

        small = shrink(case.model, still_fails)
        keep.mkdir(parents=True, exist_ok=True)
        onnx.save(case.model, keep / f"{case.name}.onnx")
        onnx.save(small, keep / f"{case.name}-small.onnx")
        print(f"{keep / case.name}-small.onnx: {' -> '.join(node.op_type for node in small.graph.node)}", flush=True)
