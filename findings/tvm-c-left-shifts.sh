#!/usr/bin/env bash
# TVM's generator of C shifts negative numbers to the left, which C leaves undefined.
#
# Version: apache-tvm 0.27.0.post1, apache-tvm-ffi 0.1.14.post1.
# Behaviour: for the target "c" a shift_left of an int32 is written as `x << n`. LLVM's `shl`, which the same function becomes
#   for the target "llvm", is defined for every x; in C a negative x is undefined (C99 6.5.7), and UBSan stops there.
#   A buffer of the scope "local", which the generators for LLVM and for GPUs take, is refused besides.
# Output seen (2026-12-01, Python 3.11.7):
#   shift: int32_t a, int32_t n -> a << n
#   local: Check failed: scope == "global"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/shifts.py" <<'PY'
import re

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T


def c_of(scope):
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("f")
        T.func_attr({"global_symbol": "f"})
        out, a, n = T.arg("out", T.ptr("int32")), T.arg("a", T.int32()), T.arg("n", T.int32())
        T.func_ret(tvm.ir.PrimType("int32"))
        buffer = T.decl_buffer((1,), "int32", data=out)
        value = T.alloc_buffer((1,), "int32", scope=scope)
        T.buffer_store(value, a << n, [0])
        T.buffer_store(buffer, value[0], [0])
        T.Return(T.int32(0))
    target = tvm.target.Target("c")
    module = tvm.tirx.transform.BindTarget(target.with_host(target))(tvm.IRModule({"f": builder.get()}))
    return tvm.get_global_func("target.build.c")(module, target).inspect_source()


print("shift: int32_t a, int32_t n ->", re.search(r"a << n", c_of("global"))[0])
try:
    c_of("local")
except Exception as error:
    print("local:", re.search(r"Check failed: scope == \"global\"", str(error))[0])
PY

python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'apache-tvm==0.27.0.post1' 'apache-tvm-ffi==0.1.14.post1' numpy
"$work/env/bin/python" "$work/shifts.py" > "$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'EXPECTED'
shift: int32_t a, int32_t n -> a << n
local: Check failed: scope == "global"
EXPECTED
