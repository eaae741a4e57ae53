"""The part of NVIDIA's driver interface that kernels.py needs, by ctypes: kernels on a stream, and their times."""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from ctypes import byref
from types import TracebackType
from typing import Any, Self

CAPABILITY, CLOCK, PROCESSORS = (75, 76), 13, 16  # attributes of a device
MOST_SHARED = 8  # of a function: bytes of dynamic shared memory
NOT_FOUND = 500
Handle = ctypes.c_void_p


class DriverError(Exception):
    """A function of the driver failed, with this number."""

    def __init__(self, function: str, number: int) -> None:
        super().__init__(f"{function} gave error {number}")
        self.number = number


class Gpu:
    """The first GPU, its primary context and one stream. What is made here is released at the end."""

    def __init__(self) -> None:
        self.functions = ctypes.CDLL("libcuda.so.1")
        self.device, self.stream, self.made = ctypes.c_int(), Handle(), ExitStack()

    def __enter__(self) -> Self:
        context = Handle()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", byref(self.device), 0)
        self.call("cuDevicePrimaryCtxRetain", byref(context), self.device)
        self.made.callback(self.call, "cuDevicePrimaryCtxRelease_v2", self.device)
        self.call("cuCtxSetCurrent", context)
        self.call("cuStreamCreate", byref(self.stream), 1)  # it does not wait for the default stream
        self.made.callback(self.call, "cuStreamDestroy_v2", self.stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.made.close()

    def call(self, function: str, *arguments: Any) -> None:
        if number := getattr(self.functions, function)(*arguments):
            raise DriverError(function, number)

    def attribute(self, which: int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", byref(value), which, self.device)
        return value.value

    @property
    def name(self) -> str:
        text = ctypes.create_string_buffer(128)
        self.call("cuDeviceGetName", text, 128, self.device)
        return text.value.decode()

    @property
    def driver(self) -> int:
        """The version of CUDA that the driver has: 13000 is 13.0."""
        version = ctypes.c_int()
        self.call("cuDriverGetVersion", byref(version))
        return version.value

    # ---- kernels and memory

    def module(self, image: bytes) -> Handle:
        module = Handle()
        self.call("cuModuleLoadData", byref(module), image)
        self.made.callback(self.call, "cuModuleUnload", module)
        return module

    def function(self, module: Handle, name: str, shared: int) -> Handle:
        """A kernel, allowed so many bytes of dynamic shared memory."""
        function = Handle()
        self.call("cuModuleGetFunction", byref(function), module, name.encode())
        if shared:
            self.call("cuFuncSetAttribute", function, MOST_SHARED, shared)
        return function

    def allocate(self, size: int) -> int:
        """The address of memory that is zero."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", byref(address), ctypes.c_size_t(size))
        self.made.callback(self.call, "cuMemFree_v2", address)
        self.clear(address.value, size)
        return address.value

    def upload(self, address: int, content: bytes) -> None:
        self.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), content, ctypes.c_size_t(len(content)), self.stream)
        self.finish()

    # ---- what is put on the stream

    def clear(self, address: int, size: int) -> None:
        self.call("cuMemsetD8Async", ctypes.c_uint64(address), 0, ctypes.c_size_t(size), self.stream)

    def copy(self, to: int, source: int, size: int) -> None:
        addresses = ctypes.c_uint64(to), ctypes.c_uint64(source)
        self.call("cuMemcpyDtoDAsync_v2", *addresses, ctypes.c_size_t(size), self.stream)

    def launcher(
        self, function: Handle, blocks: int, threads: int, shared: int, buffers: Sequence[int], units: int
    ) -> Callable[[], None]:
        """What starts a kernel: its arguments are the addresses of buffers, then units."""
        values = [*map(ctypes.c_uint64, buffers), ctypes.c_int32(units)]
        pointers = (Handle * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = (blocks, 1, 1, threads, 1, 1, shared)

        def launch() -> None:
            assert values  # they have to live as long as the pointers to them
            self.call("cuLaunchKernel", function, *sizes, self.stream, pointers, None)

        return launch

    def event(self) -> Handle:
        event = Handle()
        self.call("cuEventCreate", byref(event), 0)
        self.made.callback(self.call, "cuEventDestroy_v2", event)
        return event

    def finish(self) -> None:
        self.call("cuStreamSynchronize", self.stream)


class Timer:
    """Times of pieces of work on a GPU, from events before and behind each.

    delay: work that keeps the stream busy while the host fills it, so that no piece waits for the host. An event takes
    a microsecond or so, which counts as its piece's.
    """

    def __init__(self, gpu: Gpu, pieces: int, delay: Callable[[], None]) -> None:
        self.gpu, self.delay = gpu, delay
        self.events = [gpu.event() for _ in range(pieces + 1)]

    def run(self, pieces: Sequence[Callable[[], None]]) -> list[float]:
        """Seconds of each."""
        self.delay()
        self._mark(0)
        for number, piece in enumerate(pieces, start=1):
            piece()
            self._mark(number)
        self.gpu.finish()
        return [self._elapsed(number) for number in range(len(pieces))]

    def _mark(self, number: int) -> None:
        self.gpu.call("cuEventRecord", self.events[number], self.gpu.stream)

    def _elapsed(self, number: int) -> float:
        milliseconds = ctypes.c_float()
        self.gpu.call("cuEventElapsedTime", byref(milliseconds), self.events[number], self.events[number + 1])
        return milliseconds.value / 1e3
