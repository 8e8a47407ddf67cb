"""Measures of image fusion, by the definitions of the field's public MATLAB toolbox (Linfeng-Tang/Image-Fusion).

All take grey images (H, W) of 8 bits; ``to_grey`` makes them from colour as MATLAB's ``rgb2gray`` does, rounded to
whole grey levels. Where a definition has no value (a constant image has no correlation), the result is NaN.

The toolbox differs from what it means in three places, and this module follows the meaning: its mutual information
counts the grey levels 254 and 255 as one (saturated addition), its SSIM takes 0..255 for 0..1, and it hands the
images to Nabf in the wrong order.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError

Image8 = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Numbers = TypeVar('Numbers', Values, Floats)

# VIF halves the image three times and still needs a window of three pixels.
MINIMUM_SIZE = 41
_GREY_OF_RGB = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
_SMALLEST_VARIANCE = 1e-10


@dataclass(frozen=True)
class FusionMetrics:
    """The measures of one fused image; of all but ``nabf`` more is better.

    Attributes:
        en: entropy, 0 to 8 bits.
        mi: mutual information with the thermal image plus that with the visible one, in bits.
        two_en: twice the entropy; the tables of the paper call this MI.
        sf: spatial frequency, root mean square of the differences of neighbours, in grey levels.
        sd: standard deviation in grey levels.
        vif: visual information fidelity (pixel domain, four scales), thermal plus visible.
        qabf: edge preservation of Xydeas and Petrovic, 0 to 1.
        ag: average gradient in grey levels.
        scd: sum of the correlations of differences, -2 to 2.
        cc: mean correlation with both sources, -1 to 1.
        ssim: mean structural similarity with both sources.
        nabf: edges that no source has (artefacts), in the form of Shreyamsha Kumar.
    """

    en: float
    mi: float
    two_en: float
    sf: float
    sd: float
    vif: float
    qabf: float
    ag: float
    scd: float
    cc: float
    ssim: float
    nabf: float


TITLES = {
    'en': 'EN',
    'mi': 'MI',
    'two_en': '2EN',
    'sf': 'SF',
    'sd': 'SD',
    'vif': 'VIF',
    'qabf': 'Qabf',
    'ag': 'AG',
    'scd': 'SCD',
    'cc': 'CC',
    'ssim': 'SSIM',
    'nabf': 'Nabf',
}


def to_grey(image: Image8) -> Image8:
    """Grey (H, W) uint8 of RGB (H, W, 3), weighted and rounded as MATLAB's rgb2gray; grey images stay as they are."""
    if image.ndim == 2:
        return image
    grey: Image8 = np.floor(image @ _GREY_OF_RGB + 0.5).astype(np.uint8)
    return grey


def evaluate_fusion(visible: Image8, thermal: Image8, fused: Image8) -> FusionMetrics:
    """All measures of one fused image against its two sources.

    Args:
        visible, thermal, fused: grey (H, W) uint8, of one size.

    Raises:
        InputError: not grey, not 8 bits, of several sizes, or smaller than ``MINIMUM_SIZE``.
    """
    _check(visible, thermal, fused)
    a, b, f = (image.astype(np.float64) for image in (thermal, visible, fused))
    return FusionMetrics(
        **quick_measures(visible, thermal, fused),
        vif=visual_information_fidelity(a, f) + visual_information_fidelity(b, f),
        qabf=edge_preservation(a, b, f),
        ssim=(structural_similarity(a, f) + structural_similarity(b, f)) / 2,
        nabf=fusion_artefacts(a, b, f),
    )


def quick_measures(visible: Image8, thermal: Image8, fused: Image8) -> dict[str, float]:
    """Those fields of :class:`FusionMetrics` that cost a tenth of the rest; arguments and errors as there."""
    _check(visible, thermal, fused)
    # Pairs of grey levels tell all but what depends on neighbours, and counting is cheap.
    thermal_fused, visible_fused = joint_histogram(thermal, fused), joint_histogram(visible, fused)
    thermal_visible = joint_histogram(thermal, visible)
    size = fused.size
    var_a, var_f, cov_af = _moments(thermal_fused)
    var_b, _, cov_bf = _moments(visible_fused)
    cov_ab = _moments(thermal_visible)[2]
    en = _bits(thermal_fused.sum(axis=0))
    return {
        'en': en,
        'mi': _mutual_information(thermal_fused) + _mutual_information(visible_fused),
        'two_en': 2 * en,
        'sf': spatial_frequency(fused),
        'sd': math.sqrt(var_f) / size,
        'ag': average_gradient(fused),
        # Correlations of the differences (fused - visible, thermal) and (fused - thermal, visible).
        'scd': _ratio(cov_af - cov_ab, var_f + var_b - 2 * cov_bf, var_a)
        + _ratio(cov_bf - cov_ab, var_f + var_a - 2 * cov_af, var_b),
        'cc': (_ratio(cov_af, var_a, var_f) + _ratio(cov_bf, var_b, var_f)) / 2,
    }


def mean_metrics(rows: list[FusionMetrics]) -> FusionMetrics:
    """The mean of each measure; NaN where one image has none."""
    return FusionMetrics(*(float(np.mean([getattr(row, field.name) for row in rows])) for field in fields(rows[0])))


def _check(visible: Image8, thermal: Image8, fused: Image8) -> None:
    for name, image in (('visible', visible), ('thermal', thermal), ('fused', fused)):
        if image.dtype != np.uint8 or image.ndim != 2:
            raise InputError(f'{name} image of shape {image.shape} and type {image.dtype}; grey with 8 bits is needed')
        if min(image.shape) < MINIMUM_SIZE:
            raise InputError(f'{name} image of shape {image.shape}; at least {MINIMUM_SIZE} pixels each way')
    if not visible.shape == thermal.shape == fused.shape:
        raise InputError(f'images of {visible.shape}, {thermal.shape} and {fused.shape}; all must have one size')


def joint_histogram(first: Image8, second: Image8) -> Values:
    """How many pixels have each pair of grey levels: (256, 256), levels of the first image along the rows."""
    counts = cv2.calcHist([first, second], [0, 1], np.empty(0, np.uint8), [256, 256], [0, 256, 0, 256])
    return np.asarray(counts, np.float64)


def spatial_frequency(image: Image8) -> float:
    """Root of the mean squared differences of vertical plus those of horizontal neighbours."""
    height, width = image.shape
    vertical = cv2.norm(image[1:], image[:-1], cv2.NORM_L2SQR) / ((height - 1) * width)
    horizontal = cv2.norm(image[:, 1:], image[:, :-1], cv2.NORM_L2SQR) / (height * (width - 1))
    return math.sqrt(vertical + horizontal)


def average_gradient(image: Image8) -> float:
    """Mean length of the gradient over root 2; as in the toolbox, the sum is divided by (H - 1) (W - 1)."""
    height, width = image.shape
    # Central differences; at the border, where the image is repeated, the difference to the neighbour.
    x, y = (
        0.5 * np.asarray(cv2.Sobel(image, cv2.CV_32F, *order, ksize=1, borderType=cv2.BORDER_REPLICATE), np.float32)
        for order in ((1, 0), (0, 1))
    )
    x[:, [0, -1]] *= 2
    y[[0, -1]] *= 2
    # Not cv2.magnitude, whose last digit depends on where the arrays lie in memory.
    length = np.sqrt(x * x + y * y)
    return float(length.sum(dtype=np.float64) / math.sqrt(2) / ((height - 1) * (width - 1)))


def visual_information_fidelity(reference: Values, image: Values) -> float:
    """VIF in the pixel domain (Sheikh and Bovik): four scales, scalar model, noise variance 2; NaN if all is flat."""
    noise = 2.0
    kept, available = 0.0, 0.0
    for size in (17, 9, 5, 3):
        window = _gaussian(size, size / 5)
        if size < 17:
            reference, image = (_filter_valid(values, window)[::2, ::2] for values in (reference, image))
        mean_r, mean_i = _filter_valid(reference, window), _filter_valid(image, window)
        variance_r = np.maximum(_filter_valid(reference * reference, window) - mean_r * mean_r, 0)
        variance_i = np.maximum(_filter_valid(image * image, window) - mean_i * mean_i, 0)
        covariance = _filter_valid(reference * image, window) - mean_r * mean_i

        gain = covariance / (variance_r + _SMALLEST_VARIANCE)
        rest = variance_i - gain * covariance
        flat_r, flat_i = variance_r < _SMALLEST_VARIANCE, variance_i < _SMALLEST_VARIANCE
        gain[flat_r | flat_i] = 0
        rest[flat_r] = variance_i[flat_r]
        variance_r[flat_r] = 0
        rest[flat_i] = 0
        inverted = gain < 0
        rest[inverted] = variance_i[inverted]
        gain[inverted] = 0
        rest = np.maximum(rest, _SMALLEST_VARIANCE)
        kept += np.log10(1 + gain * gain * variance_r / (rest + noise)).sum()
        available += np.log10(1 + variance_r / noise).sum()
    return float(kept / available) if available > 0 else float('nan')


def edge_preservation(first: Values, second: Values, fused: Values, where: Image8 | float = 1.0) -> float:
    """Qabf of Xydeas and Petrovic: how much of both sources' edges is in the fused image; NaN without any edge.

    ``where`` (H, W) holds 1 for the pixels that count, else 0.
    """
    strength_f, angle_f = _edges(fused)
    preserved, weight = 0.0, 0.0
    for source in (first, second):
        strength, angle = _edges(source)
        smaller, larger = np.minimum(strength, strength_f), np.maximum(strength, strength_f)
        # The toolbox takes the strength itself where both are equal, which counts as fully preserved.
        ratio = np.where(smaller == larger, smaller, smaller / np.maximum(larger, 1))
        turn = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = _sigmoid(ratio, 0.9994, 15, 0.5) * _sigmoid(turn, 0.9879, 22, 0.8)
        strength = strength * where
        preserved += float((quality * strength).sum(dtype=np.float64))
        weight += float(strength.sum(dtype=np.float64))
    return preserved / weight if weight > 0 else float('nan')


def fusion_artefacts(first: Values, second: Values, fused: Values) -> float:
    """Nabf, as changed by Shreyamsha Kumar: weight of edges that are stronger than in both sources."""
    threshold, smallest_weight = 2.0, 0.001
    x_f, y_f, strength_f = _edges_eighth(fused)
    sources = [_edges_eighth(source) for source in (first, second)]
    # Only these count, so that the costly part is done for them alone.
    added = (strength_f > sources[0][2]) & (strength_f > sources[1][2])
    angle_f = _angle(x_f[added], y_f[added])
    lost, weights = 0.0, 0.0
    for x, y, strength in sources:
        turn = np.abs(np.abs(_angle(x[added], y[added]) - angle_f) - np.pi / 2) * 2 / np.pi
        ratio = strength[added] / strength_f[added]
        quality = np.sqrt(_sigmoid(ratio, 0.9999, 19, 0.5) * _sigmoid(turn, 0.9995, 22, 0.5))
        weight = np.where(strength >= threshold, strength * np.sqrt(strength), smallest_weight)
        lost += float(((1 - quality) * weight[added]).sum())
        weights += float(weight.sum())
    return lost / weights


def structural_similarity(first: Values, second: Values) -> float:
    """SSIM (Wang et al. 2004): Gaussian window of 11 pixels and deviation 1.5, range 255, edges repeated."""
    window = _gaussian(11, 1.5)

    def smooth(values: Values) -> Values:
        return np.asarray(cv2.sepFilter2D(values, -1, window, window, borderType=cv2.BORDER_REPLICATE), np.float64)

    mean_x, mean_y = smooth(first), smooth(second)
    variance_x = smooth(first * first) - mean_x * mean_x
    variance_y = smooth(second * second) - mean_y * mean_y
    covariance = smooth(first * second) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((light * (2 * covariance + c2) / (variance_x + variance_y + c2)).mean())


def chroma_error(visible: Image8, thermal: Image8, fused: Image8) -> float:
    """Mean distance of the fused colours from the visible ones where the thermal image is cold.

    Colour is (Cb, Cr) of full-range BT.601 in 8-bit steps; cold is up to the median of the thermal image.

    Args:
        visible, fused: (H, W, 3) RGB uint8.
        thermal: (H, W) uint8.
    """
    cold = thermal <= np.median(thermal)
    seen, shown = (
        cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1:][cold].astype(np.int32) for image in (visible, fused)
    )
    return float(np.sqrt(((seen - shown) ** 2).sum(axis=1)).mean())


def _moments(joint: Values) -> tuple[int, int, int]:
    """Variances of two images and their covariance from the joint histogram, times the squared number of pixels.

    Whole numbers of any size, so that what is constant has a variance of exactly 0.
    """
    levels = np.arange(256.0)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    count, sum_x, sum_y = int(joint.sum()), int(rows @ levels), int(columns @ levels)
    sum_xx, sum_yy, sum_xy = int(rows @ levels**2), int(columns @ levels**2), int(levels @ joint @ levels)
    return count * sum_xx - sum_x**2, count * sum_yy - sum_y**2, count * sum_xy - sum_x * sum_y


def _ratio(covariance: int, variance_x: int, variance_y: int) -> float:
    """Pearson's correlation; NaN if one is constant."""
    scale = math.sqrt(variance_x) * math.sqrt(variance_y)
    return covariance / scale if scale > 0 else math.nan


def _mutual_information(joint: Values) -> float:
    return _bits(joint.sum(axis=1)) + _bits(joint.sum(axis=0)) - _bits(joint.ravel())


def _bits(counts: npt.NDArray[Any]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _gaussian(size: int, deviation: float) -> Values:
    distance = np.arange(size) - (size - 1) / 2
    window: Values = np.exp(-(distance**2) / (2 * deviation**2))
    return window / float(window.sum())


def _filter_valid(values: Values, window: Values) -> Values:
    """Filter with a separable window and keep those pixels whose window lies within the image."""
    reach = len(window) // 2
    filtered = cv2.sepFilter2D(values, -1, window, window, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(filtered[reach:-reach, reach:-reach], np.float64)


def _sigmoid(values: Numbers, height: float, slope: float, centre: float) -> Numbers:
    # Python's own numbers keep the precision of the array.
    quality: Numbers = height / (1 + np.exp(-slope * (values - centre)))
    return quality


def _edges(image: Values) -> tuple[Floats, Floats]:
    """Strength and angle of Sobel edges, the surroundings black; a vertical gradient has the angle pi / 2."""
    x, y = _sobel(image, cv2.BORDER_CONSTANT)
    with np.errstate(divide='ignore', invalid='ignore'):
        angle = np.where(x == 0, np.float32(np.pi / 2), np.arctan(y / -x))
    return np.sqrt(x * x + y * y), angle


def _edges_eighth(image: Values) -> tuple[Values, Values, Values]:
    """Gradients along x and y in grey levels per pixel, the surroundings mirrored, and their length."""
    x, y = (gradient.astype(np.float64) / 8 for gradient in _sobel(image, cv2.BORDER_REFLECT_101))
    return x, y, np.sqrt(x * x + y * y)


def _angle(x: Values, y: Values) -> Values:
    """Angle of gradients; one along x has pi / 2, with its sign."""
    is_level = y == 0
    angle = np.arctan(x / np.where(is_level, 1, y))
    angle[is_level] = np.sign(x[is_level]) * np.pi / 2
    return np.asarray(angle, np.float64)


def _sobel(image: Values, border: int) -> tuple[Floats, Floats]:
    # Gradients of whole grey levels are exact in single precision, at half the cost.
    single = image.astype(np.float32)
    return (
        np.asarray(cv2.Sobel(single, cv2.CV_32F, 1, 0, borderType=border), np.float32),
        np.asarray(cv2.Sobel(single, cv2.CV_32F, 0, 1, borderType=border), np.float32),
    )
