"""Fusion networks as their training runs left them: for rows of an ablation, before anything is released."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ldfusion_models.denoiser import Denoiser
from ldfusion_models.diffusion import Diffusion
from ldfusion_models.errors import InputError
from ldfusion_models.frame_graph import FeatureExtractor
from ldfusion_models.fusion import FusionNetwork
from ldfusion_models.manifest import from_mapping, plain
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.fusion_evaluation import Method
from ldfusion_training.stages.fusion import FusionStageConfig, load_denoiser
from ldfusion_training.stages.pairs_in_memory import as_planes
from ldfusion_training.trainer import read_checkpoint

PREFIX = 'fusion.'


def method_of_run(name: str, checkpoint: Path) -> Method:
    """The fusion network of a checkpoint of stage ``fusion``, with the denoiser it was trained on and without text.

    Raises:
        InputError: the checkpoint, or that of its denoiser, is missing or of another stage.
    """
    content = read_checkpoint(checkpoint)
    config = from_mapping(FusionStageConfig, plain(content['settings']), str(checkpoint))
    denoiser = Denoiser(config.denoiser)
    load_denoiser(denoiser, Path(config.denoiser_checkpoint))
    extractor = FeatureExtractor(denoiser, Diffusion(config.diffusion), config.fusion.timesteps).eval()
    network = FusionNetwork(config.fusion).eval()
    weights = {key[len(PREFIX) :]: value for key, value in content['average'].items() if key.startswith(PREFIX)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f'{checkpoint}: does not hold a fusion network of this version ({error})') from error
    no_text = torch.zeros(1, config.fusion.text_dim)
    stride = config.denoiser.stride

    @torch.inference_mode()
    def fused(_: str, pair: Pair) -> Image8:
        planes = (torch.from_numpy(as_planes(image))[None] for image in (pair.visible, pair.thermal[..., None]))
        height, width = pair.thermal.shape
        border = (0, -width % stride, 0, -height % stride)
        visible, thermal = (F.pad(image, border, mode='replicate') for image in planes)
        image = network(visible, thermal, extractor(visible, thermal), no_text)[0, :, :height, :width]
        levels = (image.clamp(0, 1) * 255).round().permute(1, 2, 0)
        return np.ascontiguousarray(levels.numpy(), np.uint8)

    return Method(name, fused)
