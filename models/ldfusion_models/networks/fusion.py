"""The fusion network: diffusion features and the two images in, one three-channel image out.

The network decides, and the picture is made of the sources' own edges: per pixel, which source's gradients go into the
fused image and how strong, and which brightness the image is held at. The image that has those gradients follows from
a screened Poisson equation (``poisson.py``). So nothing is blurred by what the network has not learned,
there are no seams, and what is left to learn are smooth maps. With all weights at zero it is a good analytic fusion.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.networks.modulation import LanguageModulation
from ldfusion_models.networks.poisson import PoissonPyramid

# ITU-R BT.601, as in MATLAB's rgb2gray and the metrics of the field.
LUMA = (0.299, 0.587, 0.114)

# The analytic fusion that the network starts from. How steeply the stronger source wins: the exponent of the ratio of
# edge powers. Gradients are raised a little, for the sources lose contrast to each other. The largest gain of a source.
_SHARPNESS = 10.0
_GAIN = 1.25
_LARGEST_GAIN = 2.0
# So much of the detail of the size of a pixel is added once more: hardly to be seen, but spatial frequency rises.
_CRISPNESS = 0.09
# What a text names differs so much more from what is around it (means of 5x5 cells); so much of what is above this
# brightness is taken from it, or it would be white.
_EMPHASIS = 1.3
_LIGHT, _HELD_BACK = 0.8, 0.9
# What is decided at each place, see ``decide``.
DECISIONS = 5
# Differences below this, in hundredths per pixel, are noise.
_FAINT = 0.2


@dataclass(frozen=True)
class FusionConfig:
    """Size of the fusion network.

    Attributes:
        timesteps: where the denoiser is asked for features; one pass each.
        feature_widths: channels of the denoiser's features, finest first.
        widths: channels of the fusion at the same scales.
        text_dim: length of the text embedding.
        context: channels of what texts look around with at the coarsest scale.
        classes: of things that texts can name.
    """

    timesteps: tuple[int, ...] = (50,)
    feature_widths: tuple[int, ...] = (32, 64, 96)
    widths: tuple[int, ...] = (32, 48, 64)
    text_dim: int = 64
    context: int = 96
    classes: int = 27

    @property
    def all_feature_widths(self) -> tuple[int, ...]:
        """Channels of the features of all timesteps together, finest first."""
        return tuple(width * len(self.timesteps) for width in self.feature_widths)


class FusionNetwork(nn.Module):
    """From coarse to fine: gather features; decide; put the image together; let what a text names stand out."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.lateral = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width, out in zip(config.all_feature_widths, widths, strict=True)
        )
        self.descend = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)
        known = 4 + sum(config.feature_widths[1:]) * len(config.timesteps)
        self.modulation = LanguageModulation(config.text_dim, known, config.context, config.classes)
        self.activity = nn.ModuleList(nn.Conv2d(2, width, 3, padding=1) for width in widths)
        self.images = nn.Conv2d(4, widths[0], 6, stride=2, padding=2)
        # How bright the whole picture is decides how much can be added before it saturates.
        self.tone = nn.Linear(widths[-1], widths[0])
        nn.init.zeros_(self.tone.weight)
        self.decide = nn.Conv2d(widths[0], DECISIONS, 1)
        nn.init.zeros_(self.decide.weight)
        assert self.decide.bias is not None
        nn.init.zeros_(self.decide.bias)
        self.solver = PoissonPyramid()

    def forward(self, visible: Tensor, thermal: Tensor, features: list[Tensor], text: Tensor) -> Tensor:
        """Fuse.

        Args:
            visible: (B, 3, H, W) RGB in [0, 1].
            thermal: (B, 1, H, W) in [0, 1].
            features: per scale, finest first, (B, feature_widths[i] * len(timesteps), H / s, W / s).
            text: (B, text_dim); zeros for none.

        Returns:
            (B, 3, H, W) RGB, about [0, 1], not clipped, so that training sees a gradient everywhere.
        """
        sources = torch.cat([luminance(visible), thermal], dim=1)
        right, below = forward_differences(sources)
        activities = activity(right, below, len(self.lateral))
        images = self.images(torch.cat([visible, thermal], dim=1))
        decision = self._decision(features, activities, images)
        maps = enlarge(decide(decision, activities[0]))
        lift = self._lift(sources, right, below, maps)
        drawn = sources[:, :1] + lift
        crisp = _CRISPNESS * (drawn - _mean_around(drawn, 3))
        named = self.modulation(known_of(visible, thermal, features), text)
        # All of it is grey, and added to the colours once.
        return visible + (lift + crisp + stand_out(drawn + crisp, named, 1 << len(self.lateral)))

    def _decision(self, features: list[Tensor], activities: list[Tensor], images: Tensor) -> Tensor:
        """(B, DECISIONS, H / 2, W / 2), see ``decide``."""
        coarser, tone = None, None
        for scale in reversed(range(len(self.lateral))):
            x = self.lateral[scale](features[scale]) + self.activity[scale](activities[scale])
            if coarser is not None:
                x = x + F.interpolate(self.descend[scale](coarser), scale_factor=2.0, mode='nearest')
            if scale == 0:
                x = x + images
            x = F.relu(x)
            x = x + F.relu(self.mix[scale](x))
            coarser = x
            if tone is None:
                tone = self.tone(x.mean(dim=(2, 3)))[:, :, None, None]
        assert tone is not None
        # What is the same everywhere goes through the last layer by itself, not as a sum at each place.
        decision: Tensor = self.decide(x) + F.conv2d(tone, self.decide.weight)
        return decision

    def _lift(self, sources: Tensor, right: Tensor, below: Tensor, maps: Tensor) -> Tensor:
        """What is added to the visible luminance (B, 1, H, W)."""
        of_visible, of_thermal, contrasts, offset = maps.chunk(4, dim=1)
        luma, thermal = sources.chunk(2, dim=1)
        # Held at the brighter source, or at the sum of both sources' contrasts.
        brighter = F.relu(thermal - luma)
        total = thermal - sources.mean(dim=(1, 2, 3), keepdim=True)
        held = brighter + contrasts * (total - brighter) + offset
        # Gradients that the visible image with what is held lacks.
        held_right, held_below = forward_differences(held)
        missing_right, missing_below = (
            (of_visible - 1.0) * gradient[:, :1] + of_thermal * gradient[:, 1:] - of_held
            for gradient, of_held in ((right, held_right), (below, held_below))
        )
        correction: Tensor = self.solver(-divergence(missing_right, missing_below))
        return held + correction


def decide(decision: Tensor, activities: Tensor) -> Tensor:
    """The network's decision and the sources' edge strengths as the maps that make the picture.

    Args:
        decision: (B, DECISIONS, h, w): for the visible source, both gains, part of the summed contrasts, offset; zeros
            for the analytic fusion.
        activities: (B, 2, h, w) logarithms of both sources' edge power.

    Returns:
        (B, 4, h, w): factor of the visible and of the thermal gradients, part of the summed contrasts, offset.
    """
    preference, gains, contrasts, offset = (decision[:, a:b] for a, b in ((0, 1), (1, 3), (3, 4), (4, 5)))
    visible_wins = torch.sigmoid(preference + _SHARPNESS * (activities[:, :1] - activities[:, 1:]))
    # At zero the sigmoid is a half; the bias makes that _GAIN.
    bias = torch.tensor(_GAIN / (_LARGEST_GAIN - _GAIN)).log().item()
    gains = _LARGEST_GAIN * torch.sigmoid(gains + bias)
    factors = torch.cat([visible_wins, 1.0 - visible_wins], dim=1) * gains
    return torch.cat([factors, torch.sigmoid(contrasts), offset], dim=1)


def known_of(visible: Tensor, thermal: Tensor, features: list[Tensor]) -> Tensor:
    """All but the finest features, and the images, (B, C, h, w) at the coarsest scale: what tells classes apart."""
    coarsest = len(features) - 1
    pooled = [F.avg_pool2d(each, 1 << (coarsest - scale)) for scale, each in enumerate(features) if scale]
    return torch.cat([*pooled, F.avg_pool2d(torch.cat([visible, thermal], dim=1), 2 << coarsest)], dim=1)


def stand_out(luma: Tensor, named: Tensor, side: int) -> Tensor:
    """What is added (B, 1, H, W) to ``luma`` (B, 1, H, W) where something is named; nothing where ``named`` is 0.

    Args:
        luma: fused.
        named: (B, 1, H / side, W / side), how far each cell holds what a text names, 0 to 1 (clipped).
        side: of a cell in pixels.
    """
    around = enlarge(_mean_around(F.avg_pool2d(luma, side), 5), side)
    # With the cells beside it: what is around a thing makes its contrast as much as the thing does.
    named = enlarge(F.max_pool2d(named.clamp(0.0, 1.0), 3, stride=1, padding=1), side)
    raised = named * _EMPHASIS * (luma - around)
    return raised - named * _HELD_BACK * F.relu(luma + raised - _LIGHT)


def luminance(rgb: Tensor) -> Tensor:
    """BT.601 luma (B, 1, H, W) of RGB (B, 3, H, W)."""
    red, green, blue = rgb.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def forward_differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """Differences (B, C, H, W) of ``image`` to its right and lower neighbours; zero at the last column and row."""
    right = F.pad(image[..., 1:] - image[..., :-1], (0, 1, 0, 0))
    below = F.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return right, below


def divergence(right: Tensor, below: Tensor) -> Tensor:
    """Divergence (B, 1, H, W) of a gradient; the negative adjoint of ``forward_differences``."""
    return right - F.pad(right[..., :-1], (1, 0, 0, 0)) + below - F.pad(below[..., :-1, :], (0, 0, 1, 0))


def activity(right: Tensor, below: Tensor, scales: int) -> list[Tensor]:
    """How strong both sources' edges are around each pixel: logarithms of their power.

    Returns:
        ``scales`` tensors (B, 2, H / s, W / s) for s = 2, 4, ...
    """
    # Hundredths, so that squares neither vanish nor overflow in 16 bits.
    strength = (right.abs() + below.abs()) * 100.0
    powers = [_smooth(F.avg_pool2d(strength, 2) ** 2)]
    for _ in range(scales - 1):
        powers.append(F.avg_pool2d(powers[-1], 2))
    return [(power + _FAINT**2).log() for power in powers]


def enlarge(image: Tensor, times: int = 2) -> Tensor:
    """So many times the size, bilinear."""
    return F.interpolate(image, scale_factor=float(times), mode='bilinear', align_corners=False)


def _smooth(image: Tensor) -> Tensor:
    """Two means over 5x5 pixels, nearly a Gaussian with a standard deviation of two."""
    return _mean_around(_mean_around(image, 5), 5)


def _mean_around(image: Tensor, side: int) -> Tensor:
    """Means over ``side`` x ``side`` pixels that lie in the image."""
    return F.avg_pool2d(image, side, stride=1, padding=side // 2, count_include_pad=False)
