"""Losses of the paper and of the fusion recipe; pure functions on tensors, named results where there are several."""

import torch
import torch.nn.functional as F
from torch import Tensor

# A plane through fewer pixels is chance.
LEAST_GROUND = 500


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


def unevenness(log_depth: Tensor, ground: Tensor, allowed: float = 0.05) -> Tensor:
    """How much the depth of ground differs from that of a plane: mean of what is more than ``allowed`` in log depth.

    The inverse depth of a plane is linear in column and row. The plane is fitted to each image by least squares of
    relative errors, and is no target of the gradient.

    Args:
        log_depth: (B, 1, H, W) natural logarithm of predicted depth.
        ground: (B, 1, H, W) bool; images with less than ``LEAST_GROUND`` of them count nothing.
        allowed: what real ground may be away from a plane.
    """
    height, width = log_depth.shape[-2:]
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    y, x = torch.meshgrid(rows.to(log_depth), columns.to(log_depth), indexing='ij')
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(0, 1)
    with torch.no_grad():
        seen = ground.flatten(1) & (ground.sum(dim=(1, 2, 3)) >= LEAST_GROUND)[:, None]
        inverse = (-log_depth).exp().flatten(1)
        weights = seen / inverse**2
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)
        moments = torch.einsum('bn,ni,nj->bij', weights, places, places) + 1e-6 * torch.eye(3).to(log_depth)
        plane = torch.linalg.solve(moments, torch.einsum('bn,ni,bn->bi', weights, places, inverse))
        flat = torch.einsum('bi,ni->bn', plane, places)
        # A plane's horizon may lie below the last pixels of a hill.
        seen = seen & (flat > 0.1 * inverse)
        target = -flat.clamp(min=1e-6).log()
    error = torch.relu((log_depth.flatten(1) - target).abs() - allowed)
    return (error * seen).sum() / seen.sum().clamp(min=1)


def apart_from_ground(log_depth: Tensor, feet: Tensor, allowed: float = 0.2) -> Tensor:
    """How far things are before or behind the ground on which they stand: mean of what is more than ``allowed``.

    Args:
        log_depth: (B, 1, H, W) natural logarithm of predicted depth; that of the ground is no target of the gradient.
        feet: (B, 1, H, W) flat index of the ground pixel below a thing's lowest one, for each pixel of the thing; -1
            elsewhere.
        allowed: in log depth; a car is longer than a person.
    """
    depths, index = log_depth.flatten(1), feet.flatten(1)
    known = index >= 0
    error = torch.relu((depths - depths.detach().gather(1, index.clamp(min=0))).abs() - allowed)
    return (error * known).sum() / known.sum().clamp(min=1)


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


def edge_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """1 - Qabf (Xydeas and Petrovic 2000) on luminance (B, 1, H, W) in [0, 1]: the sources' edges are lost or turned.

    Like the metric, but smooth: faint edges are compared with a small constant added, and the angle between two
    edges is taken up to the sign of both, without the metric's jump at vertical gradients.
    """
    kept = weight = fused.new_zeros(fused.shape[0])
    of_fused = 255.0 * sobel(fused)
    strength_f = _length(of_fused)
    for source in (visible, thermal):
        of_source = 255.0 * sobel(source)
        strength = _length(of_source)
        ratio = torch.minimum(strength, strength_f) / torch.maximum(strength, strength_f)
        along = (of_source * of_fused).sum(dim=2).abs()
        across = (of_source[:, :, 0] * of_fused[:, :, 1] - of_source[:, :, 1] * of_fused[:, :, 0]).abs()
        turn = 1.0 - torch.atan2(across, along + 1.0) * (2.0 / torch.pi)
        quality = 0.9994 * torch.sigmoid(15.0 * (ratio - 0.5)) * 0.9879 * torch.sigmoid(22.0 * (turn - 0.8))
        kept = kept + (quality * strength).sum(dim=(1, 2, 3))
        weight = weight + strength.sum(dim=(1, 2, 3))
    return (1.0 - kept / weight).mean()


def information_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """1 - mean visual information fidelity of both sources in the fused image, luminance (B, 1, H, W) in [0, 1].

    VIF in the pixel domain (Sheikh and Bovik 2006) as the metric of that name computes it, on its three finer
    scales: how much of what can be seen in a source, given the eye's noise, can be seen in the fused image.
    """
    fidelity = (visual_information(visible, fused) + visual_information(thermal, fused)) / 2.0
    return 1.0 - fidelity.mean()


def visual_information(reference: Tensor, image: Tensor, scales: int = 3) -> Tensor:
    """VIF (B,) of ``image`` with regard to ``reference``, both (B, 1, H, W) in [0, 1]; 1 if they are equal."""
    noise = 2.0
    reference, image = 255.0 * reference, 255.0 * image
    seen = torch.zeros(reference.shape[0], device=image.device, dtype=image.dtype)
    there = torch.zeros_like(seen)
    for scale in range(scales):
        size = 2 ** (4 - scale) + 1
        window = _gaussian(size, size / 5.0, image)
        if scale > 0:
            reference, image = (_blur(plane, window)[..., ::2, ::2] for plane in (reference, image))
        mean_r, mean_i = _blur(reference, window), _blur(image, window)
        variance_r = (_blur(reference**2, window) - mean_r**2).clamp(min=0.0)
        variance_i = (_blur(image**2, window) - mean_i**2).clamp(min=0.0)
        gain = (_blur(reference * image, window) - mean_r * mean_i) / (variance_r + 1e-3)
        gain = gain.clamp(min=0.0)
        distortion = (variance_i - gain**2 * variance_r).clamp(min=1e-3)
        seen = seen + torch.log1p(gain**2 * variance_r / (distortion + noise)).sum(dim=(1, 2, 3))
        there = there + torch.log1p(variance_r / noise).sum(dim=(1, 2, 3))
    return seen / (there + 1e-3)


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


def contrast_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """How far local contrast falls short of ``wanted_contrast``, luminance (B, 1, H, W) in [0, 1].

    Contrast is the standard deviation over 9x9 pixels, and over as many of the image at a quarter of its size.
    """
    shortfalls = []
    for scale in (1, 4):
        deviations = [_deviation(F.avg_pool2d(image, scale), 9) for image in (fused, visible, thermal)]
        wanted = wanted_contrast(torch.maximum(deviations[1], deviations[2]))
        shortfalls.append(F.relu(wanted - deviations[0]).mean())
    return shortfalls[0] + shortfalls[1]


def wanted_contrast(strongest: Tensor) -> Tensor:
    """Contrast of the stronger source, raised where it is weak (up to 0.06), but not where it is noise (0.01)."""
    return strongest * (1.0 + 0.7 * (-strongest / 0.06).exp() * strongest**2 / (strongest**2 + 0.01**2))


def darkening_loss(fused: Tensor, visible: Tensor, allowed: float = 0.25) -> Tensor:
    """How much darker the fused image is than the visible one, over what is allowed; luminance (B, 1, H, W) in [0, 1].

    Of means over 16x16 pixels. A cold sky is black to the thermal camera; by day it should still look like day.
    """
    return F.relu(F.avg_pool2d(visible, 16) - F.avg_pool2d(fused, 16) - allowed).mean()


def brightness_change(fused: Tensor, half: Tensor) -> Tensor:
    """Mean absolute difference of the brightness of large parts, 16x16 pixels of ``fused``, between two sizes.

    Args:
        fused: (B, 1, H, W).
        half: (B, 1, H / 2, W / 2), the same pair fused at half its size.
    """
    return (F.avg_pool2d(fused, 16) - F.avg_pool2d(half, 8)).abs().mean()


def _length(gradient: Tensor) -> Tensor:
    """Length (B, C, H, W) of gradients (B, C, 2, H, W), smooth at zero."""
    return ((gradient**2).sum(dim=2) + 1.0).sqrt()


def _deviation(image: Tensor, side: int) -> Tensor:
    """Standard deviation over windows of ``side`` pixels that lie inside the image; smooth at zero."""
    mean = F.avg_pool2d(image, side, 1)
    variance = F.avg_pool2d(image**2, side, 1) - mean**2
    return (variance.clamp(min=0.0) + 1e-6).sqrt()


def _gaussian(size: int, deviation: float, like: Tensor) -> Tensor:
    """Normalised Gaussian of ``size`` samples."""
    offsets = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    line = torch.exp(-(offsets**2) / (2 * deviation**2))
    return line / line.sum()


def _blur(image: Tensor, line: Tensor) -> Tensor:
    """Separable filtering of each channel where the window lies inside the image."""
    channels, size = image.shape[1], line.numel()
    rows = F.conv2d(image, line.reshape(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)
    return F.conv2d(rows, line.reshape(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
