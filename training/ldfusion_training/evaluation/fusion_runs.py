"""Fusion networks as their training runs left them: for rows of an ablation, before anything is released."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ldfusion_models.mappings import from_mapping, plain
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import read_checkpoint
from ldfusion_training.stages.fusion import FusionNetworks, FusionStageConfig
from ldfusion_training.stages.pairs_in_memory import as_tensors


@dataclass(frozen=True)
class RunCost:
    """What one frame costs, without depth: parameters, and GFLOP (2 per multiply-add) at 640x480."""

    parameters: int
    gflop: float


def networks_of_run(checkpoint: Path) -> FusionNetworks:
    """Denoiser and fusion as a run of stage ``fusion`` left them.

    Raises:
        InputError: the checkpoint, or that of its denoiser, is missing or of another stage.
    """
    content = read_checkpoint(checkpoint)
    config = from_mapping(FusionStageConfig, plain(content['settings']), str(checkpoint))
    networks = FusionNetworks(config).eval()
    load_weights(networks.fusion, 'fusion', str(checkpoint))
    if config.train_denoiser:
        load_weights(networks.denoiser, 'denoiser', str(checkpoint))
    elif config.denoiser_checkpoint:
        load_weights(networks.denoiser, 'denoiser', config.denoiser_checkpoint)
    return networks


def cost_of_run(checkpoint: Path) -> RunCost:
    """Counted by PyTorch on a frame of which only the size exists; raises as ``networks_of_run``."""
    from torch.utils.flop_counter import FlopCounterMode

    networks = networks_of_run(checkpoint).to('meta')
    visible = torch.zeros(1, 3, 480, 640, device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        networks(visible, visible[:, :1])
    parameters = sum(parameter.numel() for parameter in networks.parameters())
    return RunCost(parameters, counter.get_total_flops() / 1e9)


def method_of_run(name: str, checkpoint: Path) -> Method:
    """The fusion network of a checkpoint of stage ``fusion``, with the denoiser it was trained on and without text.

    Raises:
        InputError: the checkpoint, or that of its denoiser, is missing or of another stage.
    """
    networks = networks_of_run(checkpoint)
    config = networks.config
    stride = config.denoiser.stride
    generator = torch.Generator()

    @torch.inference_mode()
    def fused(_: str, pair: Pair) -> Image8:
        height, width = pair.thermal.shape
        border = (0, -width % stride, 0, -height % stride)
        visible, thermal = (F.pad(image, border, mode='replicate') for image in as_tensors(pair))
        # The same noise for every image, so that a rerun gives the same table.
        noise = (
            torch.randn((1, 4, *thermal.shape[2:]), generator=generator.manual_seed(0))
            if config.noisy_features
            else None
        )
        image = networks(visible, thermal, noise)[0, :, :height, :width]
        levels = (image.clamp(0, 1) * 255).round().permute(1, 2, 0)
        return np.ascontiguousarray(levels.numpy(), np.uint8)

    return Method(name, fused)
