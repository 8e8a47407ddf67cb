"""``ldfusion evaluate diffusion`` and ``evaluate features``: what the denoiser has learned."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_training.options.types import Count, Picture


@dataclass(frozen=True, kw_only=True)
class EvaluateDiffusion:
    """How well the denoiser tells noise from image, and what it draws from noise.

    Adds noise to pairs at several timesteps and measures what the denoiser makes of it: the mean square error of
    the predicted noise (eq. 8; a prediction of no noise at all has 1) and the PSNR of the image estimate beside
    that of the noisy image itself. Prints the table.
    """

    pairs: Path
    """pairs not trained on, any layout"""
    weights: str = 'released'
    """released, a folder of weights, or a checkpoint"""
    json: Path | None = None
    """write the values"""
    markdown: Path | None = None
    """write what is printed"""
    sheet: Picture | None = None
    """write pairs, noisy, estimated and drawn anew from noise; below, pictures drawn from noise alone"""


@dataclass(frozen=True, kw_only=True)
class EvaluateFeatures:
    """What a linear layer reads from the denoiser's features, and from others.

    Classes of street images (CamVid, IDD; mean recall), people and cars in labelled pairs (average precision of cells
    of 8x8 pixels), depth of simulated scenes (explained variance of its logarithm). Prints the table.
    """

    data: Path
    """holds camvid, idd_lite and the labelled sets"""
    simulated: tuple[Path, Path] = (Path('runs/simulated/plain'), Path('runs/simulated/new'))
    """scenes to learn from and to measure on, aligned"""
    autoencoder: Path | None = None
    """also this run of configs/ablations/autoencoder_denoiser.yaml"""
    images: Count = 24
    """of each task, to learn from; half as many to measure on"""
    markdown: Path | None = None
    """write what is printed"""
