"""The frame graph in ONNX Runtime: the default on machines without a GPU; needs no PyTorch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import FrameOutput, GraphInfo
from ldfusion_models.errors import InputError


class OnnxRuntimeEngine:
    """Runs an exported frame graph on the CPU."""

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, weights: Path | None = None, threads: int = 0) -> None:
        """Load an exported ``.onnx`` file, or export a folder of weights into the user's cache first.

        Raises:
            InputError: the file is missing, damaged or not an exported frame graph, or the export is impossible.
        """
        import onnxruntime

        path = weights if weights is not None and weights.suffix == '.onnx' else _exported(weights)
        if not path.is_file():
            raise InputError(f'{path}: no such file')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
            metadata = json.loads(self._session.get_modelmeta().custom_metadata_map['ldfusion'])
            metadata.pop('version')
            self.info = GraphInfo(**metadata)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f'{path}: not a frame graph of this version; export it again') from error
        except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
            raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        fused, depth = self._session.run(('fused', 'depth'), {'visible': visible, 'thermal': thermal, 'text': text})
        return FrameOutput(fused, depth)


def _exported(weights: Path | None) -> Path:
    from ldfusion_models.export import cached_onnx

    return cached_onnx(weights)
