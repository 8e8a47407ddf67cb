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

# In pixels. Images of longer lenses are reduced to it: depth is best where things are as large as in training.
LONGEST_FOCAL = 600.0


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

        config, stride = self._network.config, self._network.stride
        pixels = as_rgb8(image) if config.image_channels == 3 else as_grey8(image, self._gain)[..., None]
        size = (pixels.shape[1], pixels.shape[0])
        scale = min(1.0, LONGEST_FOCAL / focal) if focal else 1.0
        width, height = (max(stride // 2, round(length * scale)) for length in size)
        if (width, height) != size:
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        padded = cv2.copyMakeBorder(pixels, 0, -height % stride, 0, -width % stride, cv2.BORDER_REPLICATE)
        planes = torch.from_numpy(padded.reshape(*padded.shape[:2], -1)).permute(2, 0, 1)[None].float() / 255.0
        with torch.inference_mode():
            output = self._network(planes)
        log_depth, variance = (each[0, 0, :height, :width].numpy() for each in (output.log_depth, output.variance))
        if focal:
            log_depth = log_depth + np.float32(np.log(focal * width / size[0] / config.canonical_focal))
        if (width, height) != size:
            log_depth, variance = (
                np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_LINEAR), np.float32)
                for each in (log_depth, variance)
            )
        return np.exp(log_depth), np.sqrt(variance)
