"""What every test finds, however the tests were started."""

import signal

from hypothesis import settings

from nitic.signals import ENDING

for _number in ENDING:  # nohup and a shell's background ignore some, and every process that a test starts would too
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("no deadline", deadline=None)  # other processes share the machine
settings.load_profile("no deadline")
