"""What the denoiser has learned: noise told from image on pairs it has not seen, and what it draws from noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ldfusion_models.networks.denoiser import Denoiser, DenoiserConfig
from ldfusion_models.networks.diffusion import Diffusion, DiffusionConfig
from ldfusion_training.data.pairs import Image8, Pair, PairSource
from ldfusion_training.report.pictures import Row, contact_sheet
from ldfusion_training.report.tables import markdown_table
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.stages.pairs_in_memory import as_planes

TIMESTEPS = (20, 50, 150, 400, 700)
# Height to which pairs are reduced: as much of a scene as the training crops show.
HEIGHT = 96
# Of the sheet: pairs, the timestep to which they are made noisy, steps back, and the cell of a picture.
SHOWN, NOISY, STEPS, CELL = 4, 400, 100, (240, 160)


@dataclass(frozen=True)
class DiffusionProcess:
    """A denoiser with its schedule."""

    denoiser: Denoiser
    diffusion: Diffusion


@dataclass(frozen=True)
class NoiseScore:
    """At one timestep: mean square error of the predicted noise; PSNR of the noisy image and of the estimate, dB."""

    error: float
    noisy_psnr: float
    estimate_psnr: float


def load_process(weights: str) -> DiffusionProcess:
    """The denoiser of the default size with weights as ``load_weights`` takes them; raises InputError as that."""
    denoiser = Denoiser(DenoiserConfig())
    load_weights(denoiser, 'denoiser', weights)
    return DiffusionProcess(denoiser.eval(), Diffusion(DiffusionConfig()))


def read_images(sources: Sequence[PairSource]) -> list[Tensor]:
    """Pairs as 4-channel images (1, 4, HEIGHT, W) in [-1, 1], W a multiple of 16; raises InputError if unreadable."""
    images = []
    for source in sources:
        pair = shrunk(source.read(), HEIGHT)
        planes = np.concatenate([as_planes(pair.visible), as_planes(pair.thermal[..., None])])
        images.append(torch.from_numpy(planes)[None] * 2.0 - 1.0)
    return images


def shrunk(pair: Pair, height: int) -> Pair:
    """The pair made so many pixels high, its width a multiple of 16."""
    rows, columns = pair.thermal.shape
    size = shrunk_size(columns, rows, height)
    visible, thermal = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (pair.visible, pair.thermal))
    return Pair(np.asarray(visible, np.uint8), np.asarray(thermal, np.uint8))


def shrunk_size(width: int, height: int, wanted: int) -> tuple[int, int]:
    """Width and height of an image made ``wanted`` pixels high, its width a multiple of 16."""
    return max(16, round(width * wanted / height / 16) * 16), wanted


@torch.inference_mode()
def measure(
    process: DiffusionProcess, images: Sequence[Tensor], timesteps: Sequence[int] = TIMESTEPS
) -> dict[int, NoiseScore]:
    """Means over the images, by timestep; the noise is always the same."""
    scores = {}
    for timestep in timesteps:
        generator = torch.Generator().manual_seed(timestep)
        errors = []
        for image in images:
            noise = torch.randn(image.shape, generator=generator)
            noisy, predicted = _predict(process, image, noise, timestep)
            estimate = process.diffusion.image_estimate(noisy, predicted, timestep).clamp(-1.0, 1.0)
            shown = noisy / process.diffusion.mean_scale(timestep)
            compared = ((predicted, noise), (shown, image), (estimate, image))
            errors.append([float((a - b).square().mean()) for a, b in compared])
        error, noisy_error, estimate_error = np.mean(errors, axis=0)
        scores[timestep] = NoiseScore(float(error), _psnr(noisy_error), _psnr(estimate_error))
    return scores


def diffusion_report(scores: Mapping[int, NoiseScore]) -> str:
    """Markdown: a row for each timestep."""
    header = ['timestep', 'error of the noise', 'PSNR of the noisy image, dB', 'of the estimate, dB']
    rows: list[list[str | float]] = [
        [str(timestep), score.error, f'{score.noisy_psnr:.1f}', f'{score.estimate_psnr:.1f}']
        for timestep, score in scores.items()
    ]
    return markdown_table(header, rows)


def diffusion_json(scores: Mapping[int, NoiseScore]) -> dict[str, Any]:
    """The values by timestep."""
    return {str(timestep): vars(score) for timestep, score in scores.items()}


@torch.inference_mode()
def diffusion_sheet(process: DiffusionProcess, images: Sequence[Tensor]) -> Image8:
    """Some pairs: as they are, noisy, estimated in one step, drawn back in steps; then what noise alone becomes."""
    rows = []
    chosen = images[:: max(1, len(images) // SHOWN)][:SHOWN]
    for number, image in enumerate(chosen):
        generator = torch.Generator().manual_seed(number)
        noisy, predicted = _predict(process, image, torch.randn(image.shape, generator=generator), NOISY)
        estimate = process.diffusion.image_estimate(noisy, predicted, NOISY)
        *_, drawn = process.diffusion.reverse(process.denoiser, noisy, NOISY, generator, STEPS)
        rows += _rows(f'pair {number + 1}', [image, noisy, estimate, drawn])
    shape = (4, *images[0].shape[1:])
    *_, fresh = process.diffusion.sample(process.denoiser, shape, torch.Generator().manual_seed(0), STEPS)
    rows += _rows('from noise alone', torch.split(fresh, 1))
    return contact_sheet(('pair', f'noisy, t = {NOISY}', 'estimate in one step', 'drawn back'), rows, CELL)


def _predict(process: DiffusionProcess, image: Tensor, noise: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
    """The noisy image, and the noise that the denoiser sees in it."""
    timesteps = torch.full((image.shape[0],), timestep)
    noisy = process.diffusion.add_noise(image, noise, timesteps)
    return noisy, process.denoiser(noisy, timesteps)


def _rows(name: str, images: Sequence[Tensor]) -> list[Row]:
    """Visible and thermal parts of images (1, 4, H, W)."""
    levels = [
        ((image[0].clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy() for image in images
    ]
    return [
        Row(f'{name}: visible', [np.ascontiguousarray(each[..., :3]) for each in levels]),
        Row(f'{name}: thermal', [np.ascontiguousarray(each[..., 3]) for each in levels]),
    ]


def _psnr(error: float) -> float:
    """Of a mean square error of values in [-1, 1]."""
    return 10.0 * math.log10(4.0 / max(error, 1e-12))
