"""Losses of the paper and of the fusion recipe; pure functions on tensors, named results where there are several."""

import torch
import torch.nn.functional as F
from torch import Tensor


def noise_prediction(predicted: Tensor, noise: Tensor) -> Tensor:
    """Eq. 8 as its usual mean square: both (B, 4, H, W)."""
    return F.mse_loss(predicted, noise)


def silog(predicted_log: Tensor, truth: Tensor, variance_weight: float = 1.0) -> Tensor:
    """Eq. 1: variance of the log error over valid pixels, averaged over the images that have any.

    Args:
        predicted_log: (B, 1, H, W) natural logarithm of predicted depth.
        truth: (B, 1, H, W) metres; NaN or <= 0 where unknown.
        variance_weight: 1 is eq. 1 as printed, blind to scale; 0.85 (ZoeDepth) lets scale count.
    """
    valid = torch.isfinite(truth) & (truth > 0)
    count = valid.sum(dim=(1, 2, 3)).clamp(min=1)
    error = torch.where(valid, predicted_log - torch.where(valid, truth, 1.0).log(), 0.0)
    mean = error.sum(dim=(1, 2, 3)) / count
    mean_square = (error**2).sum(dim=(1, 2, 3)) / count
    seen = valid.any(dim=3).any(dim=2).any(dim=1)
    return ((mean_square - variance_weight * mean**2) * seen).sum() / seen.sum().clamp(min=1)


def log_gradient(predicted_log: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the steps of log depth between neighbours that are both known, to the right and below.

    Args:
        predicted_log: (B, 1, H, W) natural logarithm of predicted depth.
        truth: (B, 1, H, W) metres; NaN where unknown.
    """
    error = predicted_log - truth.log()
    steps = torch.cat(
        [(error[..., 1:] - error[..., :-1]).flatten(), (error[..., 1:, :] - error[..., :-1, :]).flatten()]
    )
    known = torch.isfinite(steps)
    return torch.where(known, steps, 0.0).abs().sum() / known.sum().clamp(min=1)


def sobel(image: Tensor) -> Tensor:
    """Horizontal and vertical Sobel responses of ``image`` (B, C, H, W): (B, C, 2, H, W), borders repeated."""
    batch, channels, height, width = image.shape
    smooth = torch.tensor([1.0, 2.0, 1.0], device=image.device, dtype=image.dtype)
    slope = torch.tensor([-1.0, 0.0, 1.0], device=image.device, dtype=image.dtype)
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
    padded = F.pad(image.reshape(batch * channels, 1, height, width), (1, 1, 1, 1), mode='replicate')
    return F.conv2d(padded, kernels).reshape(batch, channels, 2, height, width)


def gradient_magnitude(image: Tensor) -> Tensor:
    """|grad| as the sum of both Sobel responses' magnitudes: (B, C, H, W)."""
    return sobel(image).abs().sum(dim=2)


def multi_channel_gradient(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """Eq. 9: per channel, |grad| of the fused image against the larger of the sources'; channels add up.

    Args:
        fused, visible: (B, 3, H, W).
        thermal: (B, 1, H, W), the same in every channel.
    """
    target = torch.maximum(gradient_magnitude(visible), gradient_magnitude(thermal))
    return (gradient_magnitude(fused) - target).abs().mean(dim=(0, 2, 3)).sum()


def multi_channel_intensity(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """Eq. 10: per channel, the fused image against the brighter source; mean over pixels, sum over channels."""
    return (fused - torch.maximum(visible, thermal)).abs().mean(dim=(0, 2, 3)).sum()


def signed_gradient(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """Like eq. 9, but each Sobel response keeps its sign: the target is the response of the stronger source.

    Eq. 9 is blind to the direction of an edge and so allows halos; this is not.
    """
    of_visible = sobel(visible)
    of_thermal = sobel(thermal).expand_as(of_visible)
    stronger = torch.where(of_visible.abs() >= of_thermal.abs(), of_visible, of_thermal)
    return (sobel(fused) - stronger).abs().mean(dim=(0, 3, 4)).sum()


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation (B,) of images (B, 1, H, W); 0 where one of them is flat."""
    a = a - a.mean(dim=(1, 2, 3), keepdim=True)
    b = b - b.mean(dim=(1, 2, 3), keepdim=True)
    power = (a**2).sum(dim=(1, 2, 3)) * (b**2).sum(dim=(1, 2, 3))
    return (a * b).sum(dim=(1, 2, 3)) / (power + 1e-8).sqrt()


def correlation_of_differences(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """1 - SCD / 2 on luminance images (B, 1, H, W): what each source adds must look like that source."""
    total = correlation(fused - thermal, visible) + correlation(fused - visible, thermal)
    return 1.0 - total.mean() / 2.0


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM map (B, C, H, W) of images in [0, 1] with the usual 11x11 Gaussian window."""
    channels = a.shape[1]
    offsets = torch.arange(-5, 6, device=a.device, dtype=a.dtype)
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = line / line.sum()

    def blur(image: Tensor) -> Tensor:
        rows = F.conv2d(image, line.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1), padding=(0, 5), groups=channels)
        return F.conv2d(rows, line.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1), padding=(5, 0), groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )


def chroma(rgb: Tensor) -> Tensor:
    """BT.601 colour differences B - Y and R - Y (B, 2, H, W) of RGB (B, 3, H, W)."""
    red, green, blue = rgb.unbind(dim=1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([0.564 * (blue - luma), 0.713 * (red - luma)], dim=1)


def chroma_error(fused: Tensor, visible: Tensor) -> Tensor:
    """Mean absolute difference of the colour differences: the fused image keeps the visible image's colours."""
    return F.l1_loss(chroma(fused), chroma(visible))
