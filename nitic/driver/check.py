"""`nitic check`: what of a model is supported and what is not, without compiling it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod

from nitic.driver.build import import_model, parse_recipe, passes_of
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import ImportedModel, Survey, survey
from nitic.frontend.problems import UnsupportedNodes
from nitic.ir.function import argument, argument_labels, arguments, function, results
from nitic.ir.sample import parts_of
from nitic.ir.traits import RunningStatistics
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from nitic.pipeline import run_passes
from nitic.version import VERSION

SCHEMA = 1
PARAMETER_ROLES = ("weight", "frozen")


@dataclass(frozen=True)
class Finding:
    """Something that is not supported. `node` and `operator` are empty where it is not about a node."""

    node: str
    operator: str
    message: str
    source: str


@dataclass(frozen=True)
class Parameter:
    """A parameter: `onnx` is the initializer's name in the file; `shape` is in nitic's order of axes."""

    name: str
    onnx: str
    shape: list[int]
    frozen: bool


@dataclass(frozen=True)
class Network:
    """What the importer made of the model: known where every node can be imported."""

    batch: int
    input: list[int]
    inputs: dict[str, list[int]]  # of several
    output: list[int]
    parameters: list[Parameter]
    batch_norms: int
    folded_batch_norms: int
    notes: list[str]


@dataclass(frozen=True)
class Report:
    """What `nitic check` says of a model. docs/check.md describes the fields."""

    model: str
    contents: Survey
    network: Network | None
    problems: list[Finding]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.UNSUPPORTED_MODEL if self.problems else ExitCode.OK

    def json(self) -> str:
        unsupported = {problem.operator for problem in self.problems}
        operators = [
            {"operator": name, "count": count, "supported": name not in unsupported}
            for name, count in self.contents.operators.items()
        ]
        fields = {
            "schema": SCHEMA,
            "compiler": f"nitic {VERSION}",
            "model": self.model,
            "supported": not self.problems,
            "producer": self.contents.producer,
            "opset": self.contents.opset,
            "operators": operators,
            "network": self.network and asdict(self.network),
            "problems": [asdict(problem) for problem in self.problems],
        }
        return json.dumps(fields, indent=2)

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        count = len(self.problems)
        verdict = f"{count} problem{'s' if count > 1 else ''}" if count else "everything is supported"
        yield f"{self.model}: {verdict}"
        operators = ", ".join(f"{name} {count}" for name, count in self.contents.operators.items())
        yield f"operators  {operators} (opset {self.contents.opset}, {self.contents.producer or 'unknown producer'})"
        if self.network:
            yield from _network_lines(self.network)
        for problem in self.problems:
            where = f"node '{problem.node}' ({problem.operator}): " if problem.node else ""
            yield f"problem    {where}{problem.message}"
            if problem.source:
                yield f"           from {problem.source}"


def _network_lines(network: Network) -> Iterator[str]:
    inputs = ", ".join(f"{name} {shape}" for name, shape in network.inputs.items()) or network.input
    yield f"input      {inputs}, output {network.output}"
    sizes = {frozen: [prod(p.shape) for p in network.parameters if p.frozen == frozen] for frozen in (False, True)}
    frozen = f", frozen {sum(sizes[True]):,} in {len(sizes[True])}" if sizes[True] else ""
    yield f"parameters {sum(sizes[False]):,} in {len(sizes[False])} tensors{frozen}"
    yield f"batch norm {network.batch_norms} to train, {network.folded_batch_norms} folded by the exporter"
    yield from (f"note       {note}" for note in network.notes)


def check_model(options: CompileOptions) -> Report:
    """Imports a model and runs the passes up to integers. Raises CompileError for a broken file and for wrong usage."""
    chosen = parse_recipe(options.recipe).with_options(options.recipe_options)
    contents, network = survey(options.model), None
    try:
        model = import_model(options)
        network = _describe(model)
        run_passes(model.module, passes_of(options, chosen))
    except CompileError as error:
        if error.exit_code != ExitCode.UNSUPPORTED_MODEL:
            raise
        return Report(options.model.name, contents, network, _findings(error))
    return Report(options.model.name, contents, network, [])


def _findings(error: CompileError) -> list[Finding]:
    """One for each node with a problem, or else the one sentence of the pass that refused the program."""
    if isinstance(error, UnsupportedNodes):
        return [Finding(p.node.name, p.node.op, p.message, p.node.user_line) for p in error.problems]
    lines = [error.message, *(line.strip() for line in error.note.splitlines())]
    location = f"{error.location}: " if error.location.startswith("node ") else ""
    return [Finding("", "", location + "; ".join(lines), "")]


def _describe(model: ImportedModel) -> Network:
    predict = function(model.module, "predict")
    roles = {label.name: label.role for label in argument_labels(predict)}
    return Network(
        batch=model.batch_size,
        input=list(shape_of(argument(predict, "input"))),
        inputs={part.name: [model.batch_size, *part.shape] for part in parts_of(model.module)},
        output=list(shape_of(results(predict)[0][1])),
        parameters=[
            Parameter(label.name, model.conversions[label.name].source, list(shape_of(arg)), label.role == "frozen")
            for label, arg in arguments(predict)
            if roles[label.name] in PARAMETER_ROLES
        ],
        batch_norms=sum(op.has_trait(RunningStatistics) for op in predict.body.block.ops),
        folded_batch_norms=model.folded_batch_norms,
        notes=list(model.notes),
    )
