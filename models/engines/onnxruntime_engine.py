"""The frame graph in ONNX Runtime: the default on machines without a GPU; needs no PyTorch."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import FrameOutput, GraphInfo, chosen_precision
from ldfusion_models.errors import InputError
from ldfusion_models.export import info_of_export
from ldfusion_models.manifest import graph_info, read_initializers, read_manifest


class OnnxRuntimeEngine:
    """Runs the frame graph on the CPU."""

    name = 'onnxruntime'
    device = 'cpu'
    reason = ''

    def __init__(self, weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> None:
        """Load a folder of weights, or one exported ``.onnx`` file; precision is fp32.

        Raises:
            InputError: a file is missing, damaged, or not of this version.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Left to itself ONNX Runtime pins each thread to a processor, where it waits for whatever else runs there.
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        self.precision = chosen_precision(precision, 'fp32', self.name, ('fp32',))
        self._session, self.info = open_session(weights, options)

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        fused, depth = self._session.run(('fused', 'depth'), {'visible': visible, 'thermal': thermal, 'text': text})
        return FrameOutput(fused, depth)


def open_session(weights: Path | None, options: Any) -> tuple[Any, GraphInfo]:
    """A session of ONNX Runtime on the CPU with the graph of a folder of weights, or of an exported ``.onnx`` file.

    Raises:
        InputError: a file is missing, damaged, or not of this version.
    """
    import onnxruntime

    if weights is not None and weights.suffix == '.onnx':
        session = _open(weights, options)
        return session, info_of_export(session.get_modelmeta().custom_metadata_map, weights)
    manifest = read_manifest(weights)
    # The session reads these arrays while it is made, so they must live until then.
    values = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in read_initializers(manifest).items()
    }
    options.add_external_initializers(list(values), list(values.values()))
    return _open(manifest.verified_graph(), options), graph_info(manifest)


def _open(path: Path, options: Any) -> Any:
    import onnxruntime

    if not path.is_file():
        raise InputError(f'{path}: no such file')
    try:
        # From memory: ONNX Runtime would look for the weights of a graph without them beside its file.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
        raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error
