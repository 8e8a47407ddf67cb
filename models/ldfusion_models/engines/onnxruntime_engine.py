"""The frame graph in ONNX Runtime: the default on machines without a GPU; needs no PyTorch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import OUTPUTS, FrameOutput, chosen_precision
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import info_of_export
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.graph.manifest import graph_info, read_initializers, read_manifest


class OnnxRuntimeEngine:
    """Runs the frame graph on the CPU."""

    name = 'onnxruntime'
    device = 'cpu'
    reason = proof = ''

    def __init__(self, weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> None:
        """Load a folder of weights, or one exported ``.onnx`` file; precision is what the graph has.

        Raises:
            InputError: a file is missing, damaged, or not of this version.
        """
        import onnxruntime

        self.library = f'ONNX Runtime {onnxruntime.__version__}'
        self.precision = chosen_precision(precision, self.name, ('fp32',))
        self._session, self.info = open_session(weights, session_options(threads))

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        return FrameOutput(*self._session.run(OUTPUTS, {'visible': visible, 'thermal': thermal, 'text': text}))


def open_session(weights: Path | None, options: Any) -> tuple[Any, GraphInfo]:
    """A session of ONNX Runtime on the CPU with the graph of a folder of weights, or of an exported ``.onnx`` file.

    Raises:
        InputError: a file is missing, damaged, or not of this version.
    """
    if weights is not None and weights.suffix == '.onnx':
        content = _read(weights)
        options.add_session_config_entry('session.model_external_initializers_file_folder_path', str(weights.parent))
        session = _open(content, weights, options)
        return session, info_of_export(content, session.get_modelmeta().custom_metadata_map, weights)
    manifest = read_manifest(weights)
    return _open_filled(manifest.verified_graph(), read_initializers(manifest), options), graph_info(manifest)


def open_part(part: str, weights: Path | None, threads: int) -> Any:
    """A session of ONNX Runtime on the CPU with one part of a folder of weights that has a graph of its own.

    Raises:
        InputError: as above.
    """
    manifest = read_manifest(weights)
    values = {name.removeprefix(f'{part}.'): a for name, a in read_initializers(manifest, [part]).items()}
    return _open_filled(manifest.verified_graph(part), values, session_options(threads))


def session_options(threads: int) -> Any:
    """Options of a session with so many threads, 0 for one a processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Left to itself ONNX Runtime pins each thread to a processor, where it waits for whatever else runs there.
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    return options


def _open_filled(path: Path, arrays: Mapping[str, npt.NDArray[Any]], options: Any) -> Any:
    import onnxruntime

    # The session reads these arrays while it is made, so they must live until then.
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
    options.add_external_initializers(list(values), list(values.values()))
    return _open(_read(path), path, options)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    return path.read_bytes()


def _open(content: bytes, path: Path, options: Any) -> Any:
    import onnxruntime

    try:
        # From memory: ONNX Runtime would look for the weights of a graph without them beside its file.
        return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime raises its own kinds, which it does not name
        raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error
