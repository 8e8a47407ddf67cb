"""The frame graph in ONNX Runtime on an NVIDIA GPU: the engine there that needs no build.

It comes with ``onnxruntime-gpu``, which takes the place of ``onnxruntime``. Each size of images has a session of its
own, for then the whole frame is one CUDA graph with its buffers on the device.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import OUTPUTS, EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.engines.built_engine import Report, Size
from ldfusion_models.graph.export import complete_graph
from ldfusion_models.graph.mixed_precision import mixed_precision
from ldfusion_models.graph.static_graph import static_graph

PROVIDER = 'CUDAExecutionProvider'
PRECISIONS = ('mixed', 'fp32')


class Sessions:
    """Makes a session for each size; what a :class:`~ldfusion_models.engines.built_engine.BuiltEngine` runs."""

    name = 'onnxruntime-cuda'

    def __init__(self, weights: Path | None, precision: str = 'auto', device: str = 'cuda') -> None:
        """Read the graph.

        Args:
            weights: folder of weights, or an exported ``.onnx`` file; None for those that came with the package.
            precision: mixed if it is ``auto``.
            device: cuda; cpu computes the same graph with the same buffers, slowly.

        Raises:
            InputError: weights missing, damaged, or of another version.
        """
        import onnxruntime

        self.device = device
        self.library = f'ONNX Runtime {onnxruntime.__version__} on {device}'
        self.precision = chosen_precision(precision, self.name, PRECISIONS)
        self._content, self.info = complete_graph(weights)

    def load(self, size: Size) -> 'BoundSession':
        """A session for images of ``size`` (width, height).

        Raises:
            InputError: a graph that is for images of another size.
            EngineFailedError: there is no GPU, its libraries are missing, or its memory is too small.
        """
        content = static_graph(self._content, size)
        return BoundSession(content if self.precision == 'fp32' else mixed_precision(content), self.device)

    def build(self, size: Size, report: Report) -> 'BoundSession':
        """There is nothing to be built; as ``load``."""
        return self.load(size)


class BoundSession:
    """A session with buffers on its device."""

    def __init__(self, content: bytes, device: str) -> None:
        """Open the session; raises EngineFailedError if the device can't be used."""
        with _failing():
            self._session = _open(content, device)
            self._binding = self._session.io_binding()
            self._inputs, self._outputs = (
                {entry.name: _buffer(entry, device) for entry in entries}
                for entries in (self._session.get_inputs(), self._session.get_outputs())
            )
            for name, buffer in self._inputs.items():
                self._binding.bind_ortvalue_input(name, buffer)
            for name, buffer in self._outputs.items():
                self._binding.bind_ortvalue_output(name, buffer)

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        with _failing():
            for name, value in (('visible', visible), ('thermal', thermal), ('text', text)):
                self._inputs[name].update_inplace(np.ascontiguousarray(value))
            self._session.run_with_iobinding(self._binding)
            # Copies: the buffers are written again by the next frame.
            return FrameOutput(*(self._outputs[name].numpy().copy() for name in OUTPUTS))


def _open(content: bytes, device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers: list[Any] = ['CPUExecutionProvider']
    if device == 'cuda':
        # CUDA and cuDNN from pip, where they came with ONNX Runtime or PyTorch; what it prints is said below.
        with redirect_stdout(StringIO()):
            onnxruntime.preload_dlls()
        providers = [(PROVIDER, {'enable_cuda_graph': '1'})]
    session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
    if device == 'cuda' and session.get_providers()[0] != PROVIDER:
        raise EngineFailedError('its CUDA provider does not load: no driver, or CUDA or cuDNN are missing')
    return session


def _buffer(entry: Any, device: str) -> Any:
    import onnxruntime

    kind = {'tensor(uint8)': np.uint8, 'tensor(float)': np.float32}[entry.type]
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(entry.shape, kind, device, 0)


@contextmanager
def _failing() -> Iterator[None]:
    """Turn what ONNX Runtime raises, kinds of its own that it does not name, into EngineFailedError."""
    try:
        yield
    except EngineFailedError:
        raise
    except Exception as error:
        raise EngineFailedError(in_words(error)) from error


def in_words(error: Exception) -> str:
    """What went wrong on the device, without the place in ONNX Runtime's source."""
    failure = re.search(r'\w+ failure \d+: [^;\n]+', str(error))
    return failure[0].strip() if failure else str(error).partition('\n')[0]
