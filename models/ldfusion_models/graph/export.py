"""The frame graph as ONNX: traced once without weights, filled with weights where it runs.

The traced graph lies beside the weights and is as long as the architecture is; its initializers are named as the
networks' parameters and are taken from the safetensors files. So a robot needs neither PyTorch nor an export, and
new weights need no new graph.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldfusion_models import __version__
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of, written_whole
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.graph.manifest import graph_info, is_used_per_frame, read_initializers, read_manifest
from ldfusion_models.graph.static_graph import static_graph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ldfusion_models.graph.frame_graph import FrameConfig
    from ldfusion_models.networks.depth import DepthConfig

OPSET = 17
METADATA_KEY = 'ldfusion'
# Rises with every change of inputs, outputs or metadata.
FORMAT = 5
NO_DIGEST = '0' * 64


@cache
def trace_graph(config: 'FrameConfig') -> bytes:
    """The frame graph of ``config`` for images of any size from 32x32 as ONNX without weights."""
    import torch

    from ldfusion_models.graph.frame_graph import FrameGraph

    visible = torch.zeros((1, 96, 128, 3), dtype=torch.uint8)
    inputs = {
        'visible': visible,
        'thermal': visible[..., :1].contiguous(),
        'text': torch.zeros((1, config.fusion.text_dim)),
    }
    size = {1: 'height', 2: 'width'}
    outputs = ('fused', 'depth', 'uncertainty')
    axes = dict.fromkeys(('visible', 'thermal', *outputs), size)
    return _trace(FrameGraph(config), inputs, outputs, axes, {})


@cache
def trace_branch(config: 'DepthConfig') -> bytes:
    """A depth branch alone, without weights: image (1, C, H, W) in [0, 1] to log_depth and variance (1, 1, H, W).

    Of any size from 32x32. The metadata say ``stride`` and ``canonical_focal``.
    """
    import torch

    from ldfusion_models.networks.depth import DepthNetwork

    class Branch(DepthNetwork):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            found = super().forward(image)
            return found.log_depth, found.variance

    network = Branch(config)
    inputs = {'image': torch.zeros(1, config.image_channels, 96, 128)}
    outputs = ('log_depth', 'variance')
    axes = {name: {2: 'height', 3: 'width'} for name in ('image', *outputs)}
    facts = {'stride': str(network.stride), 'canonical_focal': str(config.canonical_focal)}
    return _trace(network, inputs, outputs, axes, facts)


def _trace(
    network: 'nn.Module',
    inputs: Mapping[str, 'Tensor'],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    facts: dict[str, str],
) -> bytes:
    import onnx
    import torch

    for tensor in network.state_dict().values():
        # All different, for the tracer makes one initializer of tensors that are equal.
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.5, 1.0)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracer warns of every shape it reads; a test holds the result to PyTorch instead.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            file := f'{folder}/graph.onnx',
            input_names=[*inputs],
            output_names=[*outputs],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            # Parameters stay as they are and keep their names; every engine folds them by itself.
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )
        model = onnx.load(file)
    for initializer in model.graph.initializer:
        _detach(initializer)
    wanted = {name for name in network.state_dict() if is_used_per_frame(name)}
    found = {initializer.name for initializer in model.graph.initializer}
    assert found == wanted, f'initializers and weights differ: {sorted(found ^ wanted)}'
    onnx.helper.set_model_props(model, facts)
    return bytes(model.SerializeToString())


def export_onnx(output: Path, weights: Path | None = None, size: tuple[int, int] | None = None) -> None:
    """Write graph and weights as one ONNX file, with facts about it in the metadata.

    Args:
        output: the file.
        weights: as for ``complete_graph``.
        size: width and height of the images; None for a graph that takes images of any size.

    Raises:
        InputError: as for ``complete_graph``, the graph is made for another size, or the file can't be written.
    """
    content, info = complete_graph(weights)
    if info.size not in (None, size):
        raise InputError(f'{weights}: made for one size; export from a folder of weights')
    if size is not None:
        content = static_graph(content, size)
    content = with_metadata(content, replace(info, size=size))
    with written_whole(output) as temporary:
        temporary.write_bytes(content)


def complete_graph(weights: Path | None = None) -> tuple[bytes, GraphInfo]:
    """Graph and weights as one ONNX model in memory, and what a caller must know of it.

    Args:
        weights: folder of weights, or a file that ``export_onnx`` wrote; None for those that came with the package.

    Raises:
        InputError: the package onnx is not installed, or the weights are missing, damaged or of another version.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise InputError('graph and weights are joined by the Python package onnx; pip install onnx') from error
    if weights is not None and weights.suffix == '.onnx':
        return _read_export(weights)
    manifest = read_manifest(weights)
    model = onnx.load(str(manifest.verified_graph()), load_external_data=False)
    values = read_initializers(manifest)
    for initializer in model.graph.initializer:
        initializer.CopyFrom(numpy_helper.from_array(values[initializer.name], initializer.name))
    return model.SerializeToString(), graph_info(manifest)


def info_of_export(content: bytes, metadata: Mapping[str, str], path: Path) -> GraphInfo:
    """Facts about an exported graph.

    Args:
        content: of the file.
        metadata: of the model in it.
        path: of the file.

    Raises:
        InputError: the metadata are not those of a frame graph of this version, or the content is not what was written.
    """
    try:
        facts = json.loads(metadata[METADATA_KEY])
        found, version, digest = (facts.pop(name) for name in ('format', 'version', 'sha256'))
        # Files of other forms don't have it.
        data = facts.pop('data', '')
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: not a frame graph that ldfusion export wrote; export it again') from error
    if found != FORMAT:
        raise InputError(f'{path}: written by version {version}, in another form; export it again')
    if _digest(content.replace(digest.encode(), NO_DIGEST.encode())) != digest:
        raise InputError(f'{path}: sha256 is not that of the graph that was written; copy or export it again')
    file = data_of(path)
    if data and not (file.is_file() and sha256_of(file) == data):
        raise InputError(f'{file}: missing, or not what was written with {path.name}; copy or export both again')
    return GraphInfo(**facts | {'size': facts['size'] and tuple(facts['size'])})


def data_of(path: Path) -> Path:
    """Where the weights of an exported graph lie that are too large for its file."""
    return path.with_name(f'{path.name}.data')


def with_metadata(content: bytes, info: GraphInfo, data: str = '') -> bytes:
    """The model with its facts, among them the sha256 of all of it with zeros in the place of that sum.

    ``data`` is the sha256 of the file of weights beside it, if there is one.
    """
    import onnx

    model = onnx.load_from_string(content)
    facts = {'format': FORMAT, 'version': __version__, 'sha256': NO_DIGEST, 'data': data, **asdict(info)}
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(facts)})
    content = model.SerializeToString()
    return content.replace(NO_DIGEST.encode(), _digest(content).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_export(path: Path) -> tuple[bytes, GraphInfo]:
    import onnx

    if not path.is_file():
        raise InputError(f'{path}: no such file')
    content = path.read_bytes()
    try:
        metadata = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    except Exception as error:  # protobuf's DecodeError, whose module depends on its version
        raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error
    return content, info_of_export(content, metadata, path)


def _detach(initializer: Any) -> None:
    """Replace an initializer's data by a reference, which whoever loads the graph resolves by name."""
    import onnx

    initializer.ClearField('raw_data')
    initializer.data_location = onnx.TensorProto.EXTERNAL
    reference = initializer.external_data.add()
    reference.key, reference.value = 'location', 'safetensors'
