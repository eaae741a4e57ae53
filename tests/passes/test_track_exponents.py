"""A network may be deeper than Python's stack."""

from nitic.ir.text import parse_module
from nitic.ops import context
from nitic.passes.integers.track_exponents import TrackExponents

DEPTH = 3000


def test_the_way_back_is_as_long_as_the_network() -> None:
    lines = [f"  %{i + 1} = nn.relu %{i} : (tensor<2x3xi32>) -> tensor<2x3xi32>" for i in range(DEPTH)]
    arguments = '%0: tensor<2x3xi32> {nn.name = "x", nn.role = "input"}'
    exponent = '%e: !bfp.exp {nn.name = "x.exponent", nn.role = "exponent"}'
    asked = f"  %asked = bfp.exponent_of %{DEPTH} : (tensor<2x3xi32>) -> !bfp.exp"
    head = f"func.func @train_step({arguments}, {exponent}) -> !bfp.exp {{"
    module = parse_module("\n".join([head, *lines, asked, "  func.return %asked : !bfp.exp", "}"]), context(), "deep")
    TrackExponents().apply(module)
    assert "func.return %e" in str(module)
