"""Rules of a machine without a dot product of its own: loops that LLVM makes vectors of, which are easiest to read."""

from nitic.targets import panels
from nitic.targets.base import Rule
from nitic.targets.common import COMMON, DGRAD, FORWARD, WGRAD, is_depthwise

DEPTHWISE = (
    Rule((*FORWARD, *DGRAD), "depthwise", when=is_depthwise, layouts=panels.depthwise),
    Rule(WGRAD, "depthwise_wgrad", when=is_depthwise, layouts=panels.depthwise),
)
RULES = (*DEPTHWISE, *COMMON)
