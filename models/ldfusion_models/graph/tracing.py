"""Networks as ONNX graphs without weights: traced where they are released, filled with weights where they run.

A traced graph lies beside the weights and is as long as the architecture is; its initializers are named as the
networks' parameters and are taken from the safetensors files. So a robot needs neither PyTorch nor an export, and
new weights need no new graph.
"""

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from ldfusion_models.graph.manifest import is_in_graph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ldfusion_models.graph.frame_graph import FrameConfig
    from ldfusion_models.networks.captioner import CaptionerConfig
    from ldfusion_models.networks.depth import DepthConfig

OPSET = 17


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


@cache
def trace_captioner(config: 'CaptionerConfig') -> bytes:
    """The captioner without weights: image (1, 3, H, W) in [0, 1] to what ``SceneOutput`` has, in its order.

    H and W are multiples of 32. The metadata say the names of ``config`` as JSON, and ``size``.
    """
    import torch

    from ldfusion_models.networks.captioner import CaptionNetwork

    class Captioner(CaptionNetwork):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
            found = super().forward(image)
            return found.boxes, found.objectness, found.classes, found.scene

    outputs = ('boxes', 'objectness', 'classes', 'scene')
    axes = {'image': {2: 'height', 3: 'width'}} | {name: {1: 'cells'} for name in outputs[:3]}
    facts = {name: json.dumps(value) for name, value in asdict(config).items()}
    return _trace(Captioner(config), {'image': torch.zeros(1, 3, 96, 128)}, outputs, axes, facts)


def trace_text_tower(settings: Mapping[str, Any]) -> bytes:
    """The text tower of a CLIP without weights: tokens (N, context), padded with 0, to unit vectors (N, dim).

    Args:
        settings: ``model_cfg`` of open_clip's ``open_clip_config.json``.
    """
    import torch
    import torch.nn.functional as F
    from open_clip import CLIP

    class Tower(CLIP):  # type: ignore[misc]
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return F.normalize(self.encode_text(tokens), dim=-1)

    network = Tower(**settings)
    del network.visual, network.logit_scale
    tokens = torch.zeros((2, settings['text_cfg']['context_length']), dtype=torch.int64)
    axes = {name: {0: 'texts'} for name in ('tokens', 'embeddings')}
    return _trace(network, {'tokens': tokens}, ('embeddings',), axes, {})


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
    wanted = {name for name in network.state_dict() if is_in_graph(name)}
    found = {initializer.name for initializer in model.graph.initializer}
    assert found == wanted, f'initializers and weights differ: {sorted(found ^ wanted)}'
    onnx.helper.set_model_props(model, facts)
    return bytes(model.SerializeToString())


def _detach(initializer: Any) -> None:
    """Replace an initializer's data by a reference, which whoever loads the graph resolves by name."""
    import onnx

    initializer.ClearField('raw_data')
    initializer.data_location = onnx.TensorProto.EXTERNAL
    reference = initializer.external_data.add()
    reference.key, reference.value = 'location', 'safetensors'
