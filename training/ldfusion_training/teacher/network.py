"""The teacher: a vision transformer, the rays of its pixels, and a decoder that sees fine structure beside."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.camera import lens
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.networks.depth import DepthOutput, convex_upsample
from ldfusion_training.teacher.encoder import VisionEncoder

# Depth is decoded at this part of the image's size, then upsampled by learned weights.
COARSENESS = 4


@dataclass(frozen=True)
class TeacherConfig:
    """Size of the network.

    Attributes:
        blocks: of the encoder; its features after every second one are read.
        width: channels of the decoder.
        canonical_focal: as of ``DepthConfig``, whose value the stage puts here.
    """

    blocks: int = 8
    width: int = 160
    canonical_focal: float = 500.0


class Residual(nn.Module):
    """Two convolutions, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.second(F.gelu(self.first(F.gelu(x))))
        return added


class TeacherNetwork(nn.Module):
    """Image and rays in, canonical log depth and its variance out."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        wide, narrow = config.width, config.width // 2
        self.encoder = VisionEncoder(config.blocks)
        taps = config.blocks // 2
        self.norms = nn.ModuleList(nn.GroupNorm(1, self.encoder.width) for _ in range(taps))
        self.gather = nn.Conv2d(taps * self.encoder.width + 2, wide, 1)
        self.coarse = nn.Sequential(*(Residual(wide) for _ in range(3)))
        self.narrow = nn.Conv2d(wide, narrow, 3, padding=1)
        self.middle = Residual(narrow)
        self.details = nn.Sequential(
            nn.Conv2d(3, 32, 5, 2, 2), nn.GELU(), nn.Conv2d(32, 48, 3, 2, 1), nn.GELU(), nn.Conv2d(48, 48, 3, padding=1)
        )
        self.join = nn.Conv2d(narrow + 48, narrow, 3, padding=1)
        self.fine = Residual(narrow)
        self.log_depth_and_variance = nn.Conv2d(narrow, 2, 3, padding=1)
        self.upsampling = nn.Conv2d(narrow, 9 * COARSENESS**2, 1)
        nn.init.zeros_(self.log_depth_and_variance.weight)
        self.log_depth_and_variance.bias = nn.Parameter(torch.tensor([2.5, -3.0]))

    def forward(self, image: Tensor) -> DepthOutput:
        """Depth of ``image`` (B, 5, H, W): colours in [0, 1], then ``rays``; H and W multiples of 28."""
        colours, rays = image[:, :3], image[:, 3:]
        taps = [norm(each) for norm, each in zip(self.norms, self.encoder(colours)[1::2], strict=True)]
        x = self.coarse(self.gather(torch.cat([*taps, F.avg_pool2d(rays, self.encoder.patch)], dim=1)))
        height, width = (size // COARSENESS for size in image.shape[2:])
        x = self.middle(self.narrow(F.interpolate(x, scale_factor=2.0, mode='bilinear')))
        x = F.interpolate(x, (height, width), mode='bilinear')
        x = self.fine(self.join(torch.cat([x, self.details(colours - 0.5)], dim=1)))
        # Halves would round depth to one or two percent.
        with torch.autocast(image.device.type, enabled=False):
            both = self.log_depth_and_variance(x.float())
            both = torch.cat([both[:, :1], both[:, 1:].clamp(-7.0, 1.0).exp()], dim=1)
            full = convex_upsample(both, self.upsampling(x.float()), COARSENESS)
        return DepthOutput(full[:, :1], full[:, 1:])


def rays(width: int, height: int, cx: float, cy: float, focal: float) -> Tensor:
    """Where the pixels of a view look, (2, height, width): columns and rows from the principal point over ``focal``.

    With the canonical focal length, as for the depth, this does not ask for that of the camera.
    """
    directions = lens.rays(Intrinsics(width, height, focal, focal, cx, cy))
    return torch.from_numpy(np.ascontiguousarray(directions[..., :2].transpose(2, 0, 1)))
