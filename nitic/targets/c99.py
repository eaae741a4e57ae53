"""C99 for any compiler and any machine: a folder of sources. What vectors there are, the compiler makes."""

from nitic.targets import loops
from nitic.targets.base import Code, Platform, Target, Variant

C99 = Variant("c", loops.RULES, code=Code.C99, lanes=1)

TARGETS = (Target("c", (C99,), platform=Platform(system="standard", link=(), suffix="-c99", incbin=False)),)
