"""The captioner's network: which things are where in an image, and what place, light and weather it shows.

YOLOX-Nano (Ge et al. 2021, https://github.com/Megvii-BaseDetection/YOLOX, Apache-2.0) with its normalisation folded
into the convolutions, and one linear layer on its coarsest features for the scene. One network serves both cameras.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
# Channels at these strides, and of the head.
WIDTHS = (64, 128, 256)
HEAD = 64


@dataclass(frozen=True)
class CaptionerConfig:
    """What the captioner tells apart.

    Attributes:
        classes: of things, one output each.
        places, lights, weathers: of scenes, one output each.
        size: longest side in pixels of the image that the network sees.
    """

    classes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    lights: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    size: int = 512


@dataclass(frozen=True)
class SceneOutput:
    """What the network says of images (B, 3, H, W), for N = sum of H W / stride^2 cells, finest stride first.

    Attributes:
        boxes: (B, N, 4) left, top, right, bottom in pixels.
        objectness: (B, N) logits.
        classes: (B, N, classes) logits.
        scene: (B, places + lights + weathers) logits.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor
    scene: Tensor


class CaptionNetwork(nn.Module):
    """Finds things and reads the scene. Layers stand in the order in which YOLOX's ONNX file has them."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone()
        self.neck = Neck()
        self.heads = nn.ModuleList(Head(channels, len(config.classes)) for channels in WIDTHS)
        self.scene = nn.Linear(2 * WIDTHS[-1], len(config.places) + len(config.lights) + len(config.weathers))

    def forward(self, image: Tensor) -> SceneOutput:
        """Of ``image`` (B, 3, H, W) RGB in [0, 1]; H and W are multiples of 32."""
        features = self.backbone(image)
        coarsest = features[-1]
        outputs = []
        for head, level, stride in zip(self.heads, self.neck(features), STRIDES, strict=True):
            box, objectness, classes = head(level)
            lines = (torch.arange(length, device=image.device) for length in level.shape[2:])
            grid = torch.stack(torch.meshgrid(*lines, indexing='ij')[::-1])
            centre, half = (box[:, :2] + grid) * stride, box[:, 2:].clamp(max=8.0).exp() * (stride / 2)
            outputs.append([torch.cat([centre - half, centre + half], 1), objectness, classes])
        flat = [torch.cat([each.flatten(2) for each in kind], 2).transpose(1, 2) for kind in zip(*outputs, strict=True)]
        pooled = torch.cat([coarsest.mean((2, 3)), coarsest.amax((2, 3))], 1)
        return SceneOutput(flat[0], flat[1][..., 0], flat[2], self.scene(pooled))


class Convolution(nn.Module):
    """Convolution and SiLU."""

    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.conv(x))


def separable(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """3x3 for each channel, then 1x1."""
    return nn.Sequential(Convolution(channels, channels, 3, stride, channels), Convolution(channels, out))


class Bottleneck(nn.Module):
    """1x1 and a separable 3x3, perhaps beside a shortcut."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(Convolution(channels, channels), separable(channels, channels))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.layers(x)
        return x + mixed if self.shortcut else mixed


class CrossStage(nn.Module):
    """Half of the channels through bottlenecks, half past them (CSPNet)."""

    def __init__(self, channels: int, out: int, repeats: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        half = out // 2
        self.through, self.past = Convolution(channels, half), Convolution(channels, half)
        self.bottlenecks = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(repeats)))
        self.join = Convolution(out, out)

    def forward(self, x: Tensor) -> Tensor:
        through, past = self.through(x), self.past(x)
        joined: Tensor = self.join(torch.cat([self.bottlenecks(through), past], 1))
        return joined


class PyramidPooling(nn.Module):
    """Maxima over windows of several sizes, side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter, self.join = Convolution(channels, half), Convolution(4 * half, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        pools = [F.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13)]
        joined: Tensor = self.join(torch.cat([x, *pools], 1))
        return joined


class Backbone(nn.Module):
    """CSPDarknet: features at 1/8, 1/16 and 1/32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(12, 16, 3)
        self.quarter = nn.Sequential(separable(16, 32, 2), CrossStage(32, 32, 1, shortcut=True))
        self.eighth = nn.Sequential(separable(32, 64, 2), CrossStage(64, 64, 3, shortcut=True))
        self.sixteenth = nn.Sequential(separable(64, 128, 2), CrossStage(128, 128, 3, shortcut=True))
        self.thirtysecond = nn.Sequential(separable(128, 256, 2), PyramidPooling(256), CrossStage(256, 256))

    def forward(self, image: Tensor) -> list[Tensor]:
        corners = [image[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = self.quarter(self.stem(torch.cat(corners, 1)))
        features = []
        for part in (self.eighth, self.sixteenth, self.thirtysecond):
            x = part(x)
            features.append(x)
        return features


class Neck(nn.Module):
    """Features of all strides learn of each other: down the pyramid, then up (PANet)."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.to_middle, self.down_middle = Convolution(coarse, middle), CrossStage(2 * middle, middle)
        self.to_fine, self.down_fine = Convolution(middle, fine), CrossStage(2 * fine, fine)
        self.from_fine, self.up_middle = separable(fine, fine, 2), CrossStage(2 * fine, middle)
        self.from_middle, self.up_coarse = separable(middle, middle, 2), CrossStage(2 * middle, coarse)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = features
        from_coarse = self.to_middle(coarse)
        between = self.to_fine(self.down_middle(torch.cat([_doubled(from_coarse), middle], 1)))
        fine = self.down_fine(torch.cat([_doubled(between), fine], 1))
        middle = self.up_middle(torch.cat([self.from_fine(fine), between], 1))
        coarse = self.up_coarse(torch.cat([self.from_middle(middle), from_coarse], 1))
        return [fine, middle, coarse]


class Head(nn.Module):
    """Box, objectness and classes of each cell."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = Convolution(channels, HEAD)
        self.for_classes = nn.Sequential(separable(HEAD, HEAD), separable(HEAD, HEAD))
        self.classes = nn.Conv2d(HEAD, classes, 1)
        self.for_boxes = nn.Sequential(separable(HEAD, HEAD), separable(HEAD, HEAD))
        self.box, self.objectness = nn.Conv2d(HEAD, 4, 1), nn.Conv2d(HEAD, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(x)
        classes = self.classes(self.for_classes(x))
        boxes = self.for_boxes(x)
        return self.box(boxes), self.objectness(boxes), classes


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode='nearest')
