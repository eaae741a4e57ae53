"""What is asserted of every kernel when it is made."""

import pytest

from nitic.codegen.core import tir
from nitic.codegen.core.function import Function


@pytest.mark.parametrize("trips", [0, 1, 3])
def test_a_local_of_a_loop_ends_with_it(trips: int) -> None:
    with Function("kernel", {"x": "int32"}) as f:
        with tir.loop(0, trips):
            inside = tir.let(f["x"].load(0) + 1)
        f["x"].store(1, inside)
    with pytest.raises(RuntimeError, match="its declaration is no longer in-scope"):
        f.kernel(1)


def test_a_register_before_the_loop_is_known_behind_it() -> None:
    with Function("kernel", {"x": "int32"}) as f:
        total = tir.register("int32", 0)
        with tir.loop(0, f.end) as i:
            total.set(total.value + f["x"].load(i))
        f["x"].store(1, total.value)
    assert f.kernel(1).function is not None


def test_a_local_of_a_branch_ends_with_it() -> None:
    with Function("kernel", {"x": "int32"}) as f:
        with tir.when(f.thread == 0):
            inside = tir.let(f["x"].load(0) + 1)
        f["x"].store(1, inside)
    with pytest.raises(RuntimeError, match="its declaration is no longer in-scope"):
        f.kernel(1)
