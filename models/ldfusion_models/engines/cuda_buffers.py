"""Memory on an NVIDIA GPU and pinned memory on the host, by NVIDIA's own Python bindings: no PyTorch needed."""

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import EngineFailedError


class NoGpuError(EngineFailedError):
    """There is no GPU that can be used."""


@dataclass(frozen=True)
class Gpu:
    """Name and compute capability of the current device."""

    name: str
    compute_capability: str

    @classmethod
    def current(cls) -> 'Gpu':
        """Ask the driver.

        Raises:
            NoGpuError: there is no device, or no driver that knows it.
        """
        from cuda.bindings import runtime

        try:
            device = check(runtime.cudaGetDevice())
            properties = check(runtime.cudaGetDeviceProperties(device))
        except EngineFailedError as error:
            raise NoGpuError(f'no usable GPU ({error})') from error
        return cls(properties.name.decode(), f'{properties.major}.{properties.minor}')


class Stream:
    """A queue of work on the device."""

    def __init__(self) -> None:
        from cuda.bindings import runtime

        self._runtime = runtime
        self.handle = check(runtime.cudaStreamCreate())

    def wait(self) -> None:
        """Return when all work is done; raises EngineFailedError if some failed."""
        check(self._runtime.cudaStreamSynchronize(self.handle))

    def __del__(self) -> None:
        self._runtime.cudaStreamDestroy(self.handle)


class Buffer:
    """An array twice: ``host`` in pinned memory, ``address`` on the device."""

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        from cuda.bindings import runtime

        self._runtime = runtime
        self._size = math.prod(shape) * np.dtype(dtype).itemsize
        self._pinned = check(runtime.cudaHostAlloc(self._size, runtime.cudaHostAllocDefault))
        self.address: int = check(runtime.cudaMalloc(self._size))
        memory = (ctypes.c_uint8 * self._size).from_address(self._pinned)
        self.host: npt.NDArray[Any] = np.asarray(memory).view(dtype).reshape(shape)

    def to_device(self, values: npt.NDArray[Any], stream: Stream) -> None:
        """Queue the copy of ``values`` to the device."""
        np.copyto(self.host, values)
        self._copy(self.address, self._pinned, self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def to_host(self, stream: Stream) -> None:
        """Queue the copy to ``host``."""
        self._copy(self._pinned, self.address, self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def _copy(self, target: int, source: int, kind: Any, stream: Stream) -> None:
        check(self._runtime.cudaMemcpyAsync(target, source, self._size, kind, stream.handle))

    def __del__(self) -> None:
        if hasattr(self, 'address'):
            self._runtime.cudaFree(self.address)
        if hasattr(self, '_pinned'):
            self._runtime.cudaFreeHost(self._pinned)


def check(result: tuple[Any, ...]) -> Any:
    """The value of a call of the CUDA runtime, which returns (error, value).

    Raises:
        EngineFailedError: the call failed.
    """
    error, *values = result
    if error.value:
        from cuda.bindings import runtime

        words = runtime.cudaGetErrorString(error)[1].decode()
        raise EngineFailedError(f'CUDA: {words}, {error.name}')
    return values[0] if values else None
