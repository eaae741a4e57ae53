"""What each ONNX operator becomes in nitic's IR: one function per operator, in the file of its family."""

from nitic.frontend.operators import (
    activations,
    arithmetic,
    attention,
    conditions,
    cuts,
    layers,
    norms,
    pointwise,
    pools,
    powers,
    recurrent,
    resizes,
    views,
)
from nitic.frontend.operators.inputs import Handler

HANDLERS: dict[str, Handler] = {
    **layers.HANDLERS,
    **attention.HANDLERS,
    **norms.HANDLERS,
    **arithmetic.HANDLERS,
    **activations.HANDLERS,
    **powers.HANDLERS,
    **conditions.HANDLERS,
    **pointwise.HANDLERS,
    **pools.HANDLERS,
    **recurrent.HANDLERS,
    **views.HANDLERS,
    **cuts.HANDLERS,
    **resizes.HANDLERS,
}
LAST_ONLY = frozenset({"Softmax", "LogSoftmax"})
"""The operators that no other may follow."""
VIEWS = frozenset(views.HANDLERS) - {"Transpose"}
"""The operators that change no order of values: these may follow even the last one."""
