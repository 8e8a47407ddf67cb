"""The measures of the field's MATLAB toolbox (Linfeng-Tang/Image-Fusion), written down as plainly as they are defined.

An oracle for ``ldfusion_training.metrics`` that shares no code with it: whole windows, loops over sources, SciPy's
convolutions, no histograms. It follows the meaning in the three places where the toolbox does not (see there). On TNO
it gives the values that the toolbox gave for nine published methods, where these are known (test_metrics.py).
"""

import numpy as np
import scipy


def convolve2d(values: np.ndarray, window: np.ndarray, mode: str) -> np.ndarray:
    return scipy.signal.convolve2d(values, window, mode)


def measures(visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    """All measures of one fused image, by the names of ``FusionMetrics``; grey (H, W) uint8."""
    v, t, f = (image.astype(np.float64) for image in (visible, thermal, fused))
    height, width = f.shape
    down, right = np.gradient(f)
    return {
        'en': entropy(f),
        'mi': sum(entropy(source) + entropy(f) - entropy(source * 256 + f) for source in (v, t)),
        'two_en': 2 * entropy(f),
        'sf': float(np.sqrt(np.mean(np.diff(f, axis=0) ** 2) + np.mean(np.diff(f, axis=1) ** 2))),
        'sd': float(np.sqrt(np.mean((f - f.mean()) ** 2))),
        'vif': fidelity(t, f) + fidelity(v, f),
        'qabf': kept_edges(t, v, f),
        'ag': float(np.sqrt((down**2 + right**2) / 2).sum() / ((height - 1) * (width - 1))),
        'scd': correlation(f - v, t) + correlation(f - t, v),
        'cc': (correlation(t, f) + correlation(v, f)) / 2,
        'ssim': (similarity(t, f) + similarity(v, f)) / 2,
        'nabf': invented_edges(t, v, f),
    }


def entropy(values: np.ndarray) -> float:
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def gaussian(size: int, deviation: float) -> np.ndarray:
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    window = np.exp(-(rows**2 + columns**2) / (2 * deviation**2))
    return window / window.sum()


def fidelity(reference: np.ndarray, image: np.ndarray) -> float:
    """vifp_mscale of Sheikh and Bovik."""
    noise, tiny = 2.0, 1e-10
    numerator = denominator = 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        window = gaussian(size, size / 5)
        if scale > 1:
            reference = convolve2d(reference, window, 'valid')[::2, ::2]
            image = convolve2d(image, window, 'valid')[::2, ::2]
        mean1, mean2 = convolve2d(reference, window, 'valid'), convolve2d(image, window, 'valid')
        variance1 = convolve2d(reference**2, window, 'valid') - mean1**2
        variance2 = convolve2d(image**2, window, 'valid') - mean2**2
        covariance = convolve2d(reference * image, window, 'valid') - mean1 * mean2
        variance1[variance1 < 0] = 0
        variance2[variance2 < 0] = 0
        gain = covariance / (variance1 + tiny)
        rest = variance2 - gain * covariance
        gain[variance1 < tiny] = 0
        rest[variance1 < tiny] = variance2[variance1 < tiny]
        variance1[variance1 < tiny] = 0
        gain[variance2 < tiny] = 0
        rest[variance2 < tiny] = 0
        rest[gain < 0] = variance2[gain < 0]
        gain[gain < 0] = 0
        rest[rest <= tiny] = tiny
        numerator += np.sum(np.log10(1 + gain**2 * variance1 / (rest + noise)))
        denominator += np.sum(np.log10(1 + variance1 / noise))
    return float(numerator / denominator)


def kept_edges(first: np.ndarray, second: np.ndarray, fused: np.ndarray) -> float:
    """Qabf of Xydeas and Petrovic, pixel by pixel as printed; the surroundings are black."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    upward = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])

    def edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = convolve2d(image, across, 'same'), convolve2d(image, upward, 'same')
        angle = np.full(image.shape, np.pi / 2)
        angle[x != 0] = np.arctan(y[x != 0] / x[x != 0])
        return np.hypot(x, y), angle

    strength_f, angle_f = edges(fused)
    total = weight = 0.0
    for source in (first, second):
        strength, angle = edges(source)
        for g, gf, a, af in zip(strength.flat, strength_f.flat, angle.flat, angle_f.flat, strict=True):
            ratio = gf / g if g > gf else gf if g == gf else g / gf
            turn = 1 - abs(a - af) / (np.pi / 2)
            kept = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (turn - 0.8)))
            total += kept * g
            weight += g
    return total / weight


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM of Wang et al., borders repeated."""
    window = gaussian(11, 1.5)

    def mean(values: np.ndarray) -> np.ndarray:
        return convolve2d(np.pad(values, 5, mode='edge'), window, 'valid')

    mean1, mean2 = mean(first), mean(second)
    variance1, variance2 = mean(first**2) - mean1**2, mean(second**2) - mean2**2
    covariance = mean(first * second) - mean1 * mean2
    c1, c2 = 6.5025, 58.5225
    quality = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    return float(np.mean(quality / ((mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2))))


def invented_edges(first: np.ndarray, second: np.ndarray, fused: np.ndarray) -> float:
    """Nabf in the form of Shreyamsha Kumar, pixel by pixel; the surroundings are mirrored."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8

    def edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mirrored = np.pad(image, 1, mode='reflect')
        x, y = (scipy.signal.correlate2d(mirrored, each, 'valid') for each in (across, across.T))
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.hypot(x, y), np.nan_to_num(np.arctan(x / y))

    (g1, a1), (g2, a2), (gf, af) = edges(first), edges(second), edges(fused)
    lost = weights = 0.0
    for pixel in np.ndindex(fused.shape):
        for g, a in ((g1[pixel], a1[pixel]), (g2[pixel], a2[pixel])):
            weight = g**1.5 if g >= 2 else 0.001
            weights += weight
            if gf[pixel] > g1[pixel] and gf[pixel] > g2[pixel]:
                ratio = g / gf[pixel]
                turn = abs(abs(a - af[pixel]) - np.pi / 2) * 2 / np.pi
                quality = 0.9999 / (1 + np.exp(-19 * (ratio - 0.5))) * 0.9995 / (1 + np.exp(-22 * (turn - 0.5)))
                lost += (1 - np.sqrt(quality)) * weight
    return lost / weights
