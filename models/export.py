"""Export of the frame graph to one ONNX file that every engine but PyTorch reads."""

import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

from ldfusion_models import __version__
from ldfusion_models.engines.base import GraphInfo
from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_models.manifest import Manifest, load_frame_graph, read_manifest

OPSET = 17
METADATA_KEY = 'ldfusion'


def graph_info(manifest: Manifest) -> GraphInfo:
    """What a caller must know of the graph that these weights make."""
    config = manifest.frame_config()
    return GraphInfo(
        config.fusion.text_dim, manifest.text_encoder, config.visible_depth.canonical_focal, manifest.weights_id
    )


def export_onnx(output: Path, weights: Path | None = None) -> None:
    """Write the frame graph for images of any size from 32x32 as ONNX, with its ``GraphInfo`` in the metadata.

    Raises:
        InputError: PyTorch or onnx is not installed, the weights are unusable, or the file can't be written.
    """
    try:
        import onnx
        import torch
    except ImportError as error:
        raise InputError(
            f'{output}: export needs the Python package {error.name}; install it, or export on another machine '
            'with `ldfusion export` and give the file as weights'
        ) from error
    graph, manifest = load_frame_graph(weights)
    info = graph_info(manifest)
    visible = torch.zeros((1, 96, 128, 3), dtype=torch.uint8)
    inputs = (visible, visible[..., :1].contiguous(), torch.zeros((1, info.text_dim)))
    size = {1: 'height', 2: 'width'}
    with written_whole(output) as temporary, warnings.catch_warnings():
        # The tracer warns of every shape it reads; the export is checked against PyTorch by a test instead.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            inputs,
            str(temporary),
            input_names=['visible', 'thermal', 'text'],
            output_names=['fused', 'depth'],
            dynamic_axes={'visible': size, 'thermal': size, 'fused': size, 'depth': size},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(str(temporary))
        entry = model.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, json.dumps({'version': __version__, **asdict(info)})
        onnx.save(model, str(temporary))


def cached_onnx(weights: Path | None = None) -> Path:
    """The exported file of these weights in the user's cache folder, exported now if it is not there yet.

    Raises:
        InputError: as ``export_onnx``.
    """
    manifest = read_manifest(weights)
    folder = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'ldfusion_ros'
    path = folder / f'frame_graph-{__version__}-{manifest.weights_id}.onnx'
    if not path.is_file():
        export_onnx(path, weights)
    return path
