"""Tiny published depth networks with random weights, of transformers' own classes, written as the hub has them."""

from pathlib import Path

import pytest
from heavy import WhenUsed

torch = WhenUsed('torch')
transformers = WhenUsed('transformers')
WhenUsed('torchvision')

STAGES = ['stage1', 'stage2', 'stage3', 'stage4']
SMALL = {'hidden_size': 16, 'num_hidden_layers': 4, 'num_attention_heads': 2, 'intermediate_size': 32}


def write_depth_anything(folder: Path, kind: str = 'metric') -> Path:
    backbone = transformers.Dinov2Config(
        **SMALL, image_size=28, patch_size=14, out_features=STAGES, apply_layernorm=False, reshape_hidden_states=False
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20,
    )
    processor = transformers.DPTImageProcessor(
        size={'height': 56, 'width': 70}, keep_aspect_ratio=True, ensure_multiple_of=14
    )
    return write_model(folder, transformers.DepthAnythingForDepthEstimation(config), processor)


def write_zoe(folder: Path) -> Path:
    backbone = transformers.BeitConfig(
        **SMALL,
        image_size=32,
        patch_size=16,
        out_features=STAGES,
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = transformers.ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=4,
        bin_configurations=[{'n_bins': 16, 'min_depth': 0.001, 'max_depth': 10.0, 'name': 'nyu'}],
        bin_embedding_dim=8,
        num_attractors=[4, 2, 2, 1],
    )
    processor = transformers.ZoeDepthImageProcessor(size={'height': 64, 'width': 96})
    return write_model(folder, transformers.ZoeDepthForDepthEstimation(config), processor)


def write_glpn(folder: Path, max_depth: int = 10) -> Path:
    config = transformers.GLPNConfig(
        hidden_sizes=[8, 16, 16, 16],
        depths=[1] * 4,
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=8,
        max_depth=max_depth,
    )
    return write_model(folder, transformers.GLPNForDepthEstimation(config), transformers.GLPNImageProcessor())


def write_depth_pro(folder: Path) -> Path:
    vision = {
        'model_type': 'dinov2',
        'num_hidden_layers': 2,
        'hidden_size': 16,
        'num_attention_heads': 2,
        'patch_size': 4,
        'intermediate_size': 32,
        'image_size': 16,
    }
    config = transformers.DepthProConfig(
        fusion_hidden_size=8,
        patch_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        image_model_config=dict(vision),
        patch_model_config=dict(vision),
        fov_model_config=dict(vision),
        use_fov_model=True,
    )
    processor = transformers.DepthProImageProcessor(size={'height': 32, 'width': 32})
    return write_model(folder, transformers.DepthProForDepthEstimation(config), processor)


def write_vision_encoder(path: Path) -> torch.nn.Module:
    """DINOv2 of two blocks, ``path`` its ONNX file with names as in the package that the teacher starts from."""
    onnx = pytest.importorskip('onnx')
    torch.manual_seed(3)
    settings = transformers.Dinov2Config(
        num_hidden_layers=2, hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14
    )
    holder = torch.nn.Module()
    holder.backbone = transformers.Dinov2Model(settings).eval()
    for parameter in holder.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    holder.forward = lambda image: holder.backbone(image).last_hidden_state
    torch.onnx.export(holder, torch.zeros(1, 3, 224, 224), str(path), dynamo=False)
    # Parameters of attention as the published file calls them, exported by an earlier transformers.
    names = {
        'q_proj': 'attention.query',
        'k_proj': 'attention.key',
        'v_proj': 'attention.value',
        'o_proj': 'output.dense',
    }
    model = onnx.load(str(path))
    for now, before in names.items():
        for parameter in model.graph.initializer:
            parameter.name = parameter.name.replace(f'.{now}.', f'.{before}.')
        for node in model.graph.node:
            node.input[:] = [name.replace(f'.{now}.', f'.{before}.') for name in node.input]
    onnx.save(model, str(path))
    backbone: torch.nn.Module = holder.backbone
    return backbone


def write_model(folder: Path, network: torch.nn.Module, processor: object) -> Path:
    # The initial weights are so small that depth would be the same everywhere.
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
