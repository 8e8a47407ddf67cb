"""The frame graph in ONNX Runtime: the default on machines without a GPU; needs no PyTorch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import FrameOutput, GraphInfo
from ldfusion_models.errors import InputError
from ldfusion_models.manifest import graph_info, read_initializers, read_manifest


class OnnxRuntimeEngine:
    """Runs the frame graph on the CPU."""

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, weights: Path | None = None, threads: int = 0) -> None:
        """Load a folder of weights, or one exported ``.onnx`` file.

        Raises:
            InputError: a file is missing, damaged, or not of this version.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session: Any
        if weights is not None and weights.suffix == '.onnx':
            self._session = _open(weights, options)
            self.info = _info_of_export(self._session, weights)
            return
        manifest = read_manifest(weights)
        # The session reads these arrays while it is made, so they must live until then.
        values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in read_initializers(manifest).items()
        }
        options.add_external_initializers(list(values), list(values.values()))
        self._session = _open(manifest.verified_graph(), options)
        self.info = graph_info(manifest)

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        fused, depth = self._session.run(('fused', 'depth'), {'visible': visible, 'thermal': thermal, 'text': text})
        return FrameOutput(fused, depth)


def _open(path: Path, options: Any) -> Any:
    import onnxruntime

    if not path.is_file():
        raise InputError(f'{path}: no such file')
    try:
        # From memory: ONNX Runtime would look for the weights of a graph without them beside its file.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
        raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error


def _info_of_export(session: Any, path: Path) -> GraphInfo:
    try:
        metadata = json.loads(session.get_modelmeta().custom_metadata_map['ldfusion'])
        metadata.pop('version')
        return GraphInfo(**metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: not a frame graph of this version; export it again') from error
