"""Metric depth of single images, without a second camera."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8, check_size
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError

if TYPE_CHECKING:
    from ldfusion_models.networks.depth import DepthNetwork

# In pixels. Images of longer lenses are reduced to it: depth is best where things are as large as in training.
FOCAL = 600.0


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

        check_size(image)
        config, stride = self._network.config, self._network.stride
        pixels = as_rgb8(image) if config.image_channels == 3 else as_grey8(image, self._gain)[..., None]
        size = (pixels.shape[1], pixels.shape[0])
        scale = min(FOCAL / focal, 1.0) if focal else 1.0
        # Whole strides: a border that is repeated would be taken for a part of the scene.
        width = max(1, round(size[0] * scale / stride)) * stride
        height = max(1, round(size[1] * width / size[0] / stride)) * stride
        method = cv2.INTER_AREA if width < size[0] else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, (width, height), interpolation=method).reshape(height, width, -1)
        planes = torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255.0
        with torch.inference_mode():
            # The mirrored image as well: what both say errs less.
            output, mirrored = self._network(planes), self._network(planes.flip(3))
        log_depth, variance = (
            np.asarray(cv2.resize((first + second.flip(3))[0, 0].numpy() / 2, size), np.float32)
            for first, second in ((output.log_depth, mirrored.log_depth), (output.variance, mirrored.variance))
        )
        # The resized image has another focal length.
        log_depth += np.float32(np.log((focal or config.canonical_focal) * width / size[0] / config.canonical_focal))
        return np.exp(log_depth), np.sqrt(variance)
