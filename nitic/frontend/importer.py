"""Imports an ONNX model: @predict in nitic's IR, over float32, and the parameters in nitic's layout."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, version_converter
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend import folding
from nitic.frontend.adaptive_pools import with_adaptive_pools
from nitic.frontend.attributes import ATTRIBUTES
from nitic.frontend.builder import MAX_ELEMENTS, UNCHANGED, Builder
from nitic.frontend.graph import (
    AS_DECLARED,
    NHWC_LAYOUT,
    Ports,
    drop_unneeded,
    set_sample_shape,
    take_output,
    take_positive_class,
)
from nitic.frontend.model_file import first_line, read_model, sidecar_of, stored_tensors
from nitic.frontend.network import Network, read_network
from nitic.frontend.nodes import Node, opset, unique_names
from nitic.frontend.operators import HANDLERS, LAST_ONLY, VIEWS
from nitic.frontend.operators.attention import Scores, handler_of_scores
from nitic.frontend.patterns import with_batch_norms
from nitic.frontend.preparation import Preparation, Standardisation
from nitic.frontend.problems import MALFORMED, Problem, UnsupportedNodes
from nitic.frontend.row_norm_patterns import with_row_norms
from nitic.frontend.shapes import inferred_shapes
from nitic.frontend.softplus import without_thresholds
from nitic.frontend.splits import without_sequences
from nitic.frontend.values import Activation, Constant, Conversion, NodeError, Value
from nitic.ir.op import NnOp
from nitic.ir.sample import Part
from nitic.ir.traits import Moves
from nitic.ir.types import Shape, shape_of

DEFAULT_BATCH = 64
_FLATTENING = frozenset({"Flatten", "Gemm", "MatMul", "Reshape"})
"""The operators that take an image as a vector, of whatever layout."""
_COLOURS = (1, 3)
"""Channels that images have, and hardly ever rows or columns."""
_SHAPES = frozenset({"Shape", "Size"})
_OPSETS = range(9, 26)
_OLDEST, _CONVERTED = 7, 17
_CONSTANTS_ONLY = "is not supported over activations or parameters"


@dataclass(frozen=True)
class ImportedModel:
    """A model as the compiler takes it.

    `module` holds @predict(%input, %parameters...) -> logits with activations NHWC, conv weights OHWI and linear
    weights [N, K]. `parameters` has the initial values in these layouts by name, in argument order, and `conversions`
    how each comes from its ONNX initializer and goes back. `notes` are sentences that the user should read, and
    `folded_batch_norms` counts the layers into which the exporter folded one. `standardisation` is what the network
    does to its samples itself, if the program is to do it in its place. `restores_biases` says whether layers without a
    bias have got one. `ranges` are the largest magnitudes that a quantised file has codes for, by the nodes that give
    them. `prepared` are the values of the file that the program's inputs are, once they are standardised.
    """

    name: str
    module: ModuleOp
    parameters: dict[str, Array]
    conversions: dict[str, Conversion]
    batch_size: int
    notes: tuple[str, ...] = ()
    folded_batch_norms: int = 0
    standardisation: Standardisation | None = None
    prepared: tuple[str, ...] = ()
    restores_biases: bool = False
    ranges: Mapping[str, float] = field(default_factory=dict[str, float])


def import_onnx(
    path: Path,
    batch_size: int | None = None,
    standardises: bool = True,
    ports: Ports = AS_DECLARED,
    restores_biases: bool = False,
) -> ImportedModel:
    """Imports a file. The batch is `batch_size`, else what the model fixes, else 64.

    standardises: where the network standardises its samples itself, the program is to do that in its place.
    ports: what the file leaves open of the network's ends.
    restores_biases: layers without a bias get one of zeros.

    Raises CompileError for a file that is broken, or that holds what nitic does not support: then it lists all of it.
    """
    network = read_network(path, restores_biases)
    model = _Importer(network, path.name, batch_size, standardises, ports).run()
    return replace(model, restores_biases=restores_biases)


@dataclass(frozen=True)
class Survey:
    """What a file holds, whether nitic can import it or not: how often each operator occurs in it."""

    producer: str
    opset: int
    operators: dict[str, int]


def survey(path: Path) -> Survey:
    """Raises CompileError for a file that is broken."""
    model = read_model(path)
    operators = Counter(Node(proto, 0).op for proto in model.graph.node)
    producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
    return Survey(producer, opset(model), dict(sorted(operators.items())))


def external_files(path: Path) -> set[Path]:
    """The files beside a model that hold weights of it; none, where it is not a model."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (OSError, DecodeError):
        return set()
    tensors = [tensor for tensor in stored_tensors(model.graph) if external_data_helper.uses_external_data(tensor)]
    return {path.parent / sidecar_of(tensor) for tensor in tensors}


@dataclass(frozen=True)
class _Input:
    """The network's input as the file declares it; a batch of 0 is left open."""

    name: str
    shape: Shape
    is_nhwc: bool
    element_type: str


@dataclass
class _Importer:
    network: Network
    file: str
    batch_size: int | None
    standardises: bool
    ports: Ports
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    problems: list[Problem] = field(default_factory=list[Problem])
    finals: dict[str, Node] = field(default_factory=dict[str, Node])
    """The results of nodes that nothing may follow."""
    model: onnx.ModelProto = field(init=False)
    preparations: list[Preparation] = field(init=False)
    """Of each input."""
    notes: list[str] = field(default_factory=list[str])
    """What there is to say before nodes are imported."""
    computed: folding.Budget = field(default_factory=lambda: folding.Budget(folding.FREE))
    generated: folding.Budget = field(default_factory=lambda: folding.Budget(folding.MAX_GENERATED))

    def run(self) -> ImportedModel:
        self.model = self.network.model
        self.notes += self.network.notes
        self._convert_opset()
        graph = self.model.graph
        self.notes += take_output(self.model, self.file, self.ports.output)
        self.notes += take_positive_class(self.model.graph)
        without_thresholds(self.model.graph)
        without_sequences(self.model.graph)
        with_adaptive_pools(self.model, opset(self.model))
        self.notes += with_batch_norms(self.model, opset(self.model))
        with_row_norms(self.model, opset(self.model))
        drop_unneeded(graph)
        self._read_initializers()
        builder = self._emitter(self._declared_inputs())
        builder.notes += self.notes
        if opset(self.model) > _OPSETS[-1]:
            builder.note(f"opset {opset(self.model)} is newer than {_OPSETS[-1]}, by whose rules it is read")
        for proto, name in zip(graph.node, unique_names(graph.node), strict=True):
            self._import_node(builder, Node(proto, opset(self.model), name))
        if self.problems:
            raise UnsupportedNodes(self.file, self.problems)
        builder.node = None
        module = self._finish(builder)
        self._note_layers(builder)
        return ImportedModel(
            Path(self.file).stem,
            module,
            builder.parameters,
            builder.conversions,
            builder.batch,
            tuple(builder.notes),
            len(builder.folded),
            self._standardisation(),
            tuple(each.prepared for each in self.preparations),
            ranges=dict(self._ranges()),
        )

    def _ranges(self) -> Iterator[tuple[str, float]]:
        """Those of the file, by the nodes that compute what it rounds; what moves that is no node of its own here."""
        for name, largest in self.network.ranges.items():
            value = self.values.get(name)
            op = value.value.owner if isinstance(value, Activation) else None
            while isinstance(op, NnOp) and op.has_trait(Moves):
                op = op.operands[0].owner
            if isinstance(op, NnOp) and op.source:
                yield op.source, largest

    # Inputs and outputs

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        return inferred_shapes(self.model)

    def _convert_opset(self) -> None:
        """Brings a model of opset 7 or 8 to one that the importer reads."""
        given = opset(self.model)
        if given < _OLDEST:
            message = f"is of opset {given}, but {_OLDEST} to {_OPSETS[-1]} are supported"
            raise CompileError(self.file, message, "export the model anew")
        if given < _OPSETS[0]:
            try:
                self.model = version_converter.convert_version(self.model, _CONVERTED)
            except (RuntimeError, ValueError) as error:
                message = f"is of opset {given}, which onnx does not convert to {_CONVERTED}: {first_line(error)}"
                raise CompileError(self.file, message, "export the model anew") from error

    def _read_initializers(self) -> None:
        if self.model.graph.sparse_initializer:
            raise CompileError(self.file, "sparse initializers are not supported")
        for tensor in self.model.graph.initializer:
            try:
                self.values[tensor.name] = self.computed.hold(folding.tensor_value(tensor, tensor.name))
            except MALFORMED as error:
                raise CompileError(self.file, f"initializer {tensor.name!r} is broken: {first_line(error)}") from error

    def _declared_inputs(self) -> list[_Input]:
        inputs = [value for value in self.model.graph.input if value.name not in self.values]
        read = {name for node in self.model.graph.node for name in node.input}
        inputs = [value for value in inputs if value.name in read] or inputs
        if not inputs:
            raise CompileError(self.file, "a network needs an input, but this has none")
        if self.ports.input_shape is not None and len(inputs) > 1:
            names = ", ".join(repr(value.name) for value in inputs)
            raise CompileError("--input-shape", f"{self.file}: a shape for one input, but there are several: {names}")
        folds = self.standardises and len(inputs) == 1
        self.preparations = [Preparation(self.model.graph, value, folds) for value in inputs]
        declared = [self._declared(*each) for each in zip(inputs, self.preparations, strict=True)]
        if len({each.shape[0] for each in declared}) > 1:
            batches = ", ".join(f"{each.name!r} {each.shape[0]}" for each in declared)
            raise CompileError(self.file, f"inputs have batches of different sizes: {batches}")
        return declared

    def _declared(self, source: onnx.ValueInfoProto, preparation: Preparation) -> _Input:
        """An input, after checks. Raises CompileError."""
        name = source.name
        if self.ports.input_shape is not None:
            set_sample_shape(source, self.ports.input_shape, self.file)
        dims = source.type.tensor_type.shape.dim
        shape = tuple(max(0, dim.dim_value) for dim in dims)
        for axis, dim in enumerate(dims):
            if axis and not shape[axis]:
                what = f"dimension {axis} of input {name!r} is {dim.dim_param or 'unknown'!r}"
                note = "--input-shape gives the shape of a sample, such as 3,224,224"
                raise CompileError(self.file, f"{what}: only the batch may be open", note)
        if prod(shape[1:]) > MAX_ELEMENTS:
            raise CompileError(self.file, f"input {name!r} has samples of {list(shape[1:])}: too large")
        if len(shape) < 2:
            note = "--input-shape gives the shape of a sample where the file does not tell it"
            message = f"input {name!r} has the shape {list(shape)}: expected a batch of samples"
            raise CompileError(self.file, message, note)
        is_nhwc = self._is_nhwc(name, shape, preparation)
        return _Input(name, shape, is_nhwc, onnx.TensorProto.DataType.Name(source.type.tensor_type.elem_type))

    def _is_nhwc(self, name: str, shape: Shape, preparation: Preparation) -> bool:
        """Whether the samples have their channels last in the file, as converters from TensorFlow write them."""
        if self.ports.layout:
            return self.ports.layout == NHWC_LAYOUT
        readers = [Node(node, 0) for node in preparation.readers(name)]
        if readers and all(self._moves_channels(node, shape) for node in readers):
            return True
        if len(shape) != 4 or not all(node.op in _FLATTENING for node in readers):
            return False
        first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
        if first == last:
            self.notes.append(
                f"nothing says whether the samples of input {name!r}, {list(shape[1:])}, have their channels first or "
                "last: they are taken as first, which --layout nhwc changes"
            )
        return last and not first

    def _moves_channels(self, node: Node, shape: Shape) -> bool:
        """Whether a node makes NCHW (NCL) of the samples: a Transpose, or any view where there is one channel."""
        if node.op == "Transpose":
            return list(node.attributes.get("perm", ())) in ([0, 3, 1, 2], [0, 2, 1])
        made = self.shapes.get(node.proto.output[0], ())
        return shape[-1] == 1 and made[1:] == (1, *shape[1:-1]) != shape[1:]

    def _has_sequences(self) -> bool:
        """Whether there is a 1-D convolution: an input of three axes is (N, C, L) then."""
        convolutions = [node for node in self.model.graph.node if node.op_type in {"Conv", "ConvTranspose"}]
        return any(len(self.shapes.get(name, ())) == 3 for node in convolutions for name in node.input[1:2])

    def _emitter(self, declared: Sequence[_Input]) -> Builder:
        first = declared[0]
        batch = self.batch_size or first.shape[0] or DEFAULT_BATCH
        samples = [self._samples((batch, *each.shape[1:]), each.is_nhwc) for each in declared]
        parts = [Part(name, shape[1:]) for name, shape in zip(_file_names(declared), samples, strict=True)]
        whole = samples[0] if len(parts) == 1 else (batch, sum(part.size for part in parts))
        builder = Builder(whole, first.shape[0], first.element_type)
        builder.shape_in_file = lambda name: self.shapes.get(name, ())
        inputs = builder.parts(parts) if len(parts) > 1 else [builder.input]
        for each, value in zip(declared, inputs, strict=True):
            channels_first = len(shape_of(value)) == 4 and not each.is_nhwc
            view = Activation.nhwc if channels_first else Activation.of
            self.values[each.name] = view(value).reshape((batch, *each.shape[1:]))
        self._note_batch(builder, first.shape[0])
        return builder

    def _samples(self, shape: Shape, is_nhwc: bool) -> Shape:
        """The input as the program takes it: images NHWC, sequences as images of one row, anything else flat."""
        n, *sample = shape
        if len(sample) == 2 and self._has_sequences():
            sample.insert(0 if is_nhwc else 1, 1)
        if len(sample) != 3:
            return n, prod(sample)
        return (n, *sample) if is_nhwc else (n, *sample[1:], sample[0])

    def _standardisation(self) -> Standardisation | None:
        """What the network does to its samples itself; of several inputs each does so in the network."""
        return self.preparations[0].standardisation()

    def _note_batch(self, builder: Builder, declared: int) -> None:
        if declared and builder.batch != declared:
            builder.note(f"the model was exported for batches of {declared}; compiling it for {builder.batch}")
        if declared == 1 and not self.batch_size:
            builder.note(
                "the model was exported for batches of 1 and will be trained with them, slowly and at low rates only;"
                f" --batch-size {DEFAULT_BATCH} compiles it for larger ones"
            )

    def _note_layers(self, builder: Builder) -> None:
        if builder.folded:
            builder.note(
                f"{_and_more(builder.folded)}: the exporter folded a batch normalisation into this layer, so it "
                f"is not trained as one; to keep it, {UNCHANGED}"
            )
        if standardisation := self._standardisation():
            builder.note(
                f"the network standardises its samples itself, by {standardisation}: the program does that in place of "
                "the statistics of the training set, and does not train it"
            )
        for node in (each.kept for each in self.preparations if each.kept):
            builder.note(
                f"{node}: the network prepares its samples itself, by constants that are not trained, behind --mean "
                "and --std or else the statistics of the training set; --mean 0 --std 1 gives it samples from 0 to 1, "
                "--mean 0 --std 0.00392157 from 0 to 255"
            )
        if builder.without_bias:
            builder.note(
                f"{_and_more(builder.without_bias)}: the bias is a zero that Expand repeats, as torch writes a layer "
                "without one, so none is trained; a bias in an initializer or a Constant is"
            )

    def _finish(self, builder: Builder) -> ModuleOp:
        name = self.model.graph.output[0].name
        value = self.values.get(name)
        if isinstance(value, Scores):
            raise CompileError(self.file, f"output {name!r} is a product of two activations: only attention has one")
        if not isinstance(value, Activation):
            raise CompileError(self.file, f"output {name!r} does not depend on the input")
        classes = value.shape[1] if len(value.shape) > 1 else 1
        what = f"output {name!r} has the shape {list(value.shape)}"
        if value.shape[:1] != (builder.batch,) or prod(value.shape) != builder.batch * classes:
            raise CompileError(self.file, f"{what}: expected [{builder.batch}, classes]")
        if classes == 1:
            builder.note(
                f"output {name!r} is one number: cross-entropy takes it as the logit of class 1 beside 0 for class 0, "
                "and leaves out a sigmoid of it; --loss mse compares it with the label itself, from 0 to 127"
            )
        if not builder.has_weights:
            raise CompileError(self.file, "has no parameters to train")
        try:
            return builder.finish(builder.in_onnx_order(value.reshape((builder.batch, classes))))
        except VerifyException as error:
            raise CompileError(self.file, first_line(error)) from error

    # Nodes

    def _import_node(self, builder: Builder, node: Node) -> None:
        """Adds the node's results to the values, or leaves them out and records why."""
        builder.node = node
        missing = [name for name in node.proto.input if name and name not in self.values]
        try:
            self._check_supported(node)
            if missing:
                self._check_missing(node, missing)
                return
            inputs = [self.values.get(name) for name in node.proto.input]
            results = zip(node.proto.output, self._results(builder, node, inputs), strict=False)
            self.values.update({name: value for name, value in results if name})
        except (NodeError, VerifyException) as error:
            self.problems.append(Problem(node, str(error)))
        except MALFORMED as error:
            self.problems.append(Problem(node, f"is malformed: {first_line(error)}"))

    def _check_supported(self, node: Node) -> None:
        if reason := self.network.unread.get(node.proto.output[0]):
            raise NodeError(reason)
        known = (HANDLERS, folding.FOLDABLE, folding.GENERATORS, _SHAPES, {"Constant"})
        if not any(node.op in each for each in known):
            raise NodeError(f"operator {node.op} is not supported")
        if node.op in HANDLERS or node.op in ATTRIBUTES:  # those of other operators are for onnx, which evaluates them
            node.check_attributes()
        read = [self.values.get(name) for name in node.proto.input]
        if node.op in LAST_ONLY and not any(value is None or isinstance(value, Scores) for value in read):
            self.finals.update(dict.fromkeys(node.proto.output, node))
        for name in node.proto.input:
            if name in self.finals and node.op in VIEWS:
                self.finals.update(dict.fromkeys(node.proto.output, self.finals[name]))
            elif name in self.finals:
                raise NodeError(f"{self.finals[name]} is supported only as the last operator")

    def _check_missing(self, node: Node, names: list[str]) -> None:
        """A value is missing because its node has a problem, or because nitic does not compute that result."""
        if node.op not in HANDLERS and node.op not in _SHAPES:
            raise NodeError(f"operator {node.op} {_CONSTANTS_ONLY}")
        makers = {name: maker for maker in self.model.graph.node for name in maker.output}
        unknown = [name for name in names if name in makers and makers[name].output[0] in self.values]
        if unknown:
            raise NodeError(f"input {unknown[0]!r} is a result that nitic does not compute")

    def _results(self, builder: Builder, node: Node, inputs: list[Value | None]) -> list[Value]:
        name = node.proto.output[0]
        if node.op == "Constant":
            return [self.computed.hold(folding.constant(node))]
        if node.op in _SHAPES and inputs[0]:
            return [folding.shape_constant(node, inputs[0], name)]
        constants = [value for value in inputs if value is None or isinstance(value, Constant)]
        if node.op in folding.GENERATORS and len(constants) == len(inputs):
            return [folding.generated(node, constants, self.generated)]
        trains = not any(each.computes(node) for each in self.preparations)
        if len(constants) == len(inputs) and folding.is_foldable(node, constants, trains):
            return list(folding.fold(node, constants, self.computed))
        preparation = next((each for each in self.preparations if each.has(node)), None)
        builder.trains = preparation is None
        if preparation and (samples := preparation.takes(node, inputs)):
            return [samples]
        if handler := handler_of_scores(node, inputs) or HANDLERS.get(node.op):
            made = handler(builder, node, inputs)
            return [made] if isinstance(made, Constant | Activation) else list(made)
        raise NodeError(f"operator {node.op} {_CONSTANTS_ONLY}")


def _file_names(inputs: Sequence[_Input]) -> list[str]:
    """The names of inputs with the letters that every file system takes, and numbers where these are not different."""
    names = [re.sub(r"[^A-Za-z0-9_-]", "_", each.name) or "_" for each in inputs]
    return names if len({*names}) == len(names) else [f"{name}_{i}" for i, name in enumerate(names)]


def _and_more(nodes: Sequence[Node]) -> str:
    """The first node, and how many there are besides."""
    return str(nodes[0]) if len(nodes) == 1 else f"{nodes[0]} and {len(nodes) - 1} more"
