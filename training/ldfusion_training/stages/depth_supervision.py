"""The depth-driven loss of the paper: frozen depth branches judge the fused image while the fusion is trained.

Depth estimated from the fused image is held against truth by SiLog (eq. 1); the visible branch reads the colours, the
thermal branch the luminance, as on the robot. Simulated pairs bring their truth. Real aligned pairs have none; theirs
is what the branches say of the source images, combined by inverse variance, where both agree. So for real pairs the
loss asks that fusing must not hide what both cameras showed.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ldfusion_models.graph.manifest import SHIPPED, load_part, read_manifest
from ldfusion_models.networks.depth import DepthNetwork, combine
from ldfusion_models.networks.fusion import luminance
from ldfusion_models.networks.published_depth import PublishedDepth
from ldfusion_training.losses import silog
from ldfusion_training.runs.starting_weights import RELEASED

Network = DepthNetwork | PublishedDepth


@dataclass(frozen=True)
class DepthSupervisionConfig:
    """Who judges, and how.

    Attributes:
        estimator: ``released`` for both branches that came with the package, a folder of released weights, or a
            published model (local folder or OWNER/NAME), which then reads the images of both modalities.
        variance_weight: of eq. 1; 1 as printed, blind to scale.
        agreement: largest difference of both source images' log depths that makes pseudo truth.
    """

    estimator: str = RELEASED
    variance_weight: float = 1.0
    agreement: float = 0.15


class DepthSupervision(nn.Module):
    """SiLog of both frozen branches on fused images."""

    def __init__(self, visible: Network, thermal: Network, config: DepthSupervisionConfig) -> None:
        """Take over both branches and freeze them; they may be one network."""
        super().__init__()
        self.config = config
        self.visible = visible.requires_grad_(False).eval()
        self.thermal = thermal.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> 'DepthSupervision':
        """The branches stay as they judge: their statistics never change."""
        return super().train(False)

    def forward(self, fused: Tensor, truth: Tensor) -> Tensor:
        """Sum of both branches' SiLog on ``fused`` (B, 3, H, W) in [0, 1].

        Args:
            fused: of which gradients are wanted.
            truth: (B, 1, H, W) canonical metres, NaN where unknown.
        """
        of_colours, of_luminance = self.visible(fused), self.thermal(luminance(fused))
        weight = self.config.variance_weight
        return silog(of_colours.log_depth, truth, weight) + silog(of_luminance.log_depth, truth, weight)

    @torch.no_grad()
    def depth(self, fused: Tensor) -> Tensor:
        """Canonical metres (B, 1, H, W) of ``fused`` (B, 3, H, W) in [0, 1], by both branches, as on the robot."""
        return combine(self.visible(fused), self.thermal(luminance(fused))).log_depth.exp()

    @torch.no_grad()
    def pseudo_truth(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Canonical metres (B, 1, H, W) from both source images, NaN where the branches disagree.

        Args:
            visible: (B, 3, H, W) in [0, 1].
            thermal: (B, 1, H, W) in [0, 1].
        """
        of_visible, of_thermal = self.visible(visible), self.thermal(thermal)
        agree = (of_visible.log_depth - of_thermal.log_depth).abs() <= self.config.agreement
        return torch.where(agree, combine(of_visible, of_thermal).log_depth.exp(), torch.nan)

    def complete(self, truth: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
        """``truth`` (B, 1, H, W), or pseudo truth for those images of which nothing is known."""
        known = torch.isfinite(truth).flatten(1).any(dim=1)
        if known.all():
            return truth
        return torch.where(known[:, None, None, None], truth, self.pseudo_truth(visible, thermal))


def create_supervision(config: DepthSupervisionConfig) -> DepthSupervision:
    """Load the estimators that the settings name.

    Raises:
        InputError: missing or damaged weights, or a published model that gives no metric depth.
    """
    path = SHIPPED if config.estimator == RELEASED else Path(config.estimator)
    if not (path / 'manifest.yaml').is_file():
        published = PublishedDepth.load(config.estimator)
        return DepthSupervision(published, published, config)
    manifest = read_manifest(path)
    settings = manifest.frame_config()
    branches = []
    for part in ('visible_depth', 'thermal_depth'):
        network = DepthNetwork(getattr(settings, part))
        load_part(network, manifest, part)
        branches.append(network)
    return DepthSupervision(branches[0], branches[1], config)
