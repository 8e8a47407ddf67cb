"""What the fused luminance should be: the image whose gradients and intensities come closest to what we ask of it.

Eq. 9 and 10 of the paper ask for the stronger source's gradients and for the brighter source's intensities. Their
quadratic form, with signed gradients g and intensities I,

    T = argmin |grad T - g|^2 + weight * |T - I|^2,

is a screened Poisson equation, which a cosine transform solves exactly. The fusion network learns to give T, per frame
and without a transform over the whole image. Two things differ from the equations as printed, both measured
(docs/decisions.md): which source is stronger is decided softly over a neighbourhood, for a decision per pixel mixes
edges of both and loses them; and I is partly the sum of both images' contrasts, for the brighter image alone forgets
what is dark in one of them.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TargetConfig:
    """Settings of the target.

    Attributes:
        intensity_weight: of the intensities against the gradients.
        gain: of the gradients; above 1 makes up for contrast that the sources lose to each other.
        neighbourhood: standard deviation in pixels of the Gaussian over which sources are compared.
        sharpness: exponent of the comparison; the higher, the more the stronger source takes all.
        sum_part: part of the intensities that is the sum of both contrasts instead of the brighter source.
    """

    intensity_weight: float = 0.01
    gain: float = 1.2
    neighbourhood: float = 3.0
    sharpness: float = 3.0
    sum_part: float = 0.35


def fused_luminance(visible: Plane, thermal: Plane, config: TargetConfig) -> Plane:
    """Luminance (H, W) in [0, 1] that the fusion should have, from both sources' (H, W) in [0, 1]."""
    weight = visible_weight(visible, thermal, config)
    of_visible, of_thermal = forward_differences(visible), forward_differences(thermal)
    right, below = (
        np.float32(config.gain) * (weight * v + (1 - weight) * t) for v, t in zip(of_visible, of_thermal, strict=True)
    )
    total = visible + thermal - (visible.mean() + thermal.mean()) / 2
    intensity = (1 - config.sum_part) * np.maximum(visible, thermal) + config.sum_part * total
    solution = solve_screened_poisson(intensity, right, below, config.intensity_weight)
    clipped: Plane = np.clip(solution, 0.0, 1.0).astype(np.float32)
    return clipped


def fused_image(
    visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], config: TargetConfig
) -> npt.NDArray[np.uint8]:
    """The target luminance of ``visible`` (H, W, 3) and ``thermal`` (H, W) in the visible image's colours: RGB."""
    colours = visible.astype(np.float32) / np.float32(255.0)
    luma = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.float32)
    lift = fused_luminance(luma, thermal.astype(np.float32) / np.float32(255.0), config) - luma
    return np.asarray(np.clip((colours + lift[..., None]) * 255.0 + 0.5, 0, 255), np.uint8)


def visible_weight(visible: Plane, thermal: Plane, config: TargetConfig) -> Plane:
    """Part (H, W), 0 to 1, of the visible image's gradients, from both images' edge power nearby."""
    powers = []
    for image in (visible, thermal):
        strength = np.abs(cv2.Sobel(image, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(image, cv2.CV_32F, 0, 1))
        nearby: npt.NDArray[Any] = cv2.GaussianBlur(strength**2, (0, 0), config.neighbourhood)
        powers.append((nearby + np.float32(1e-6)) ** np.float32(config.sharpness))
    weight: Plane = powers[0] / (powers[0] + powers[1])
    return weight


def forward_differences(image: Plane) -> tuple[Plane, Plane]:
    """Differences (H, W) to the right and to the lower neighbour; zero at the last column and row."""
    right, below = np.zeros_like(image), np.zeros_like(image)
    right[:, :-1] = np.diff(image, axis=1)
    below[:-1] = np.diff(image, axis=0)
    return right, below


def divergence(right: Plane, below: Plane) -> Plane:
    """Divergence (H, W) of a gradient; the negative adjoint of ``forward_differences``."""
    result = right + below
    result[:, 1:] -= right[:, :-1]
    result[1:] -= below[:-1]
    return result


def solve_screened_poisson(intensity: Plane, right: Plane, below: Plane, weight: float) -> npt.NDArray[np.float64]:
    """The image T (H, W) with the least |differences(T) - (right, below)|^2 + weight * |T - intensity|^2.

    Solved in the basis of the cosine transform, whose vectors are the differences' eigenvectors for free borders.
    """
    from scipy.fft import dctn, idctn

    height, width = intensity.shape
    eigenvalues = (
        weight
        + (2 - 2 * np.cos(np.pi * np.arange(height) / height))[:, None]
        + (2 - 2 * np.cos(np.pi * np.arange(width) / width))[None]
    )
    spectrum = dctn(weight * intensity - divergence(right, below), norm='ortho') / eigenvalues
    solution: npt.NDArray[np.float64] = idctn(spectrum, norm='ortho')
    return solution
