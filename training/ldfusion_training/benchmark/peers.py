"""Published fusion networks with random weights, to be timed beside ours: architectures only, for benchmarks.

DenseFuse (Li, Wu, 2019), IFCNN (Zhang et al., 2020; luminance as three channels) and SeAFusion (Tang, Yuan, Ma, 2022)
fuse luminance and give no depth.
"""

import io
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class DenseFuse(nn.Module):
    """One dense encoder for both images, addition, and a decoder of four convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = convolution(1, 16)
        self.dense = nn.ModuleList(convolution(16 * count, 16) for count in (1, 2, 3))
        self.decoder = nn.ModuleList(convolution(a, b) for a, b in ((64, 64), (64, 32), (32, 16)))
        self.head = convolution(16, 1)

    def encode(self, image: Tensor) -> Tensor:
        x = F.relu(self.first(image))
        for layer in self.dense:
            x = torch.cat([x, F.relu(layer(x))], dim=1)
        return x

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Luminance (1, 1, H, W) of both to the fused one."""
        x = self.encode(visible) + self.encode(thermal)
        for layer in self.decoder:
            x = F.relu(layer(x))
        fused: Tensor = self.head(x)
        return fused


class GradientResidualDense(nn.Module):
    """SeAFusion's block: two dense convolutions, and Sobel gradients as a second way."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList((convolution(inputs, inputs), convolution(2 * inputs, inputs)))
        self.down = convolution(3 * inputs, outputs, 1)
        self.sobel = nn.ModuleList(nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs) for _ in 'xy')
        self.up = convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = x
        for layer in self.dense:
            dense = torch.cat([dense, F.leaky_relu(layer(dense), 0.1)], dim=1)
        gradient = self.sobel[0](x).abs() + self.sobel[1](x).abs()
        return F.leaky_relu(self.down(dense) + self.up(gradient), 0.1)


class SeAFusion(nn.Module):
    """One encoder for each image, concatenation, and a decoder of four convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.Sequential(
                convolution(1, 16), nn.LeakyReLU(0.2), GradientResidualDense(16, 32), GradientResidualDense(32, 48)
            )
            for _ in range(2)
        )
        self.decoder = nn.ModuleList(convolution(a, b) for a, b in ((96, 64), (64, 32), (32, 16)))
        self.head = convolution(16, 1)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Luminance (1, 1, H, W) of both to the fused one."""
        x = torch.cat([encoder(image) for encoder, image in zip(self.encoders, (visible, thermal), strict=True)], dim=1)
        for layer in self.decoder:
            x = F.leaky_relu(layer(x), 0.2)
        fused: Tensor = self.head(x).tanh() / 2 + 0.5
        return fused


class IFCNN(nn.Module):
    """ResNet's first convolution at full size and one more for each image, their maximum, and two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, padding=3, bias=False)
        self.second, self.third = (
            nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()) for _ in range(2)
        )
        self.head = nn.Conv2d(64, 3, 1, bias=False)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Luminance (1, 1, H, W) of both to the fused one."""
        features = (self.second(self.first(image.expand(-1, 3, -1, -1))) for image in (visible, thermal))
        fused: Tensor = self.head(self.third(torch.maximum(*features)))[:, :1]
        return fused


PEERS: dict[str, type[nn.Module]] = {'DenseFuse': DenseFuse, 'SeAFusion': SeAFusion, 'IFCNN': IFCNN}


def onnx_of_peer(name: str, width: int, height: int) -> bytes:
    """A peer as ONNX for images of one size; inputs ``visible`` and ``thermal``, float32 (1, 1, H, W)."""
    image = torch.zeros((1, 1, height, width))
    content: Any = io.BytesIO()
    arguments: Any = (image, image)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            PEERS[name]().eval(), arguments, content, input_names=['visible', 'thermal'], opset_version=17, dynamo=False
        )
    exported: bytes = content.getvalue()
    return exported
