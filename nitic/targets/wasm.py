"""WebAssembly with WASI, as Node and others run it: one thread, no signals, files that are read as a whole."""

from nitic.targets import loops
from nitic.targets.base import Machine, Platform, Target, Variant

SIMD128 = Machine("wasm32-unknown-wasi", features=("+simd128",), vector_bits=128)
WASM32 = Variant("wasm32", loops.RULES, SIMD128)
WASI = Platform(
    zig="wasm32-wasi",
    system="standard",
    flags=("-D_WASI_EMULATED_SIGNAL",),
    link=("-lwasi-emulated-signal",),
    suffix=".wasm",
    incbin=False,
)

TARGETS = (Target("wasm32-wasi", (WASM32,), platform=WASI),)
