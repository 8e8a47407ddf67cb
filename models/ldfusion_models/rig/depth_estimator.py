"""Metric depth of single images, without a second camera."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError

if TYPE_CHECKING:
    from ldfusion_models.networks.depth import DepthNetwork


class DepthEstimator:
    """Metric depth of single images by one branch; in PyTorch, for offline work."""

    def __init__(self, network: 'DepthNetwork') -> None:
        self._network = network
        self._gain = GainControl(GainConfig(smoothing=0.0))

    @classmethod
    def load(cls, branch: str, weights: Path | None = None) -> 'DepthEstimator':
        """Load the ``visible`` or the ``thermal`` branch.

        Raises:
            InputError: no such branch, PyTorch is not installed, or weights are missing or damaged.
        """
        from ldfusion_models.graph.manifest import load_part, read_manifest
        from ldfusion_models.networks.depth import DepthNetwork

        if branch not in ('visible', 'thermal'):
            raise InputError(f'branch {branch!r} is unknown; choose visible or thermal')
        manifest = read_manifest(weights)
        part = f'{branch}_depth'
        network = DepthNetwork(getattr(manifest.frame_config(), part))
        load_part(network, manifest, part)
        return cls(network.eval())

    def __call__(self, image: AnyImage, focal: float | None = None) -> npt.NDArray[np.float32]:
        """Depth (H, W) in metres along the optical axis.

        Args:
            image: (H, W, 3) RGB or (H, W) grey, uint8 or uint16 (thermal counts).
            focal: horizontal focal length in pixels at this size; None for the canonical camera's.

        Raises:
            InputError: an image that the network can't take.
        """
        return self.with_deviation(image, focal)[0]

    def with_deviation(
        self, image: AnyImage, focal: float | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Depth as for a call, and the standard deviation of its logarithm, (H, W) each."""
        import torch

        config = self._network.config
        pixels = as_rgb8(image) if config.image_channels == 3 else as_grey8(image, self._gain)[..., None]
        height, width = pixels.shape[:2]
        stride = self._network.stride
        padded = cv2.copyMakeBorder(pixels, 0, -height % stride, 0, -width % stride, cv2.BORDER_REPLICATE)
        planes = torch.from_numpy(padded.reshape(*padded.shape[:2], -1)).permute(2, 0, 1)[None].float() / 255.0
        with torch.inference_mode():
            output = self._network(planes)
        depth: npt.NDArray[np.float32] = output.log_depth[0, 0, :height, :width].exp().numpy()
        depth *= np.float32((focal or config.canonical_focal) / config.canonical_focal)
        return depth, output.variance[0, 0, :height, :width].sqrt().numpy()
