"""Metric depth of single images, without a second camera."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8, check_size
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.engines.onnxruntime_engine import open_part
from ldfusion_models.errors import InputError

# In pixels. Images of longer lenses are reduced to it: depth is best where things are as large as in training.
FOCAL = 600.0


class DepthEstimator:
    """Metric depth of single images by one branch, in ONNX Runtime; needs no PyTorch."""

    def __init__(self, session: Any) -> None:
        """Take over a session with what ``ldfusion_models.graph.tracing.trace_branch`` wrote."""
        self._session = session
        facts = session.get_modelmeta().custom_metadata_map
        self._stride, self._canonical = int(facts['stride']), float(facts['canonical_focal'])
        self._gain = GainControl(GainConfig(smoothing=0.0))

    @classmethod
    def load(cls, branch: str, weights: Path | None = None, threads: int = 0) -> 'DepthEstimator':
        """Load the ``visible`` or the ``thermal`` branch, to run with so many threads (0: one a processor).

        Raises:
            InputError: no such branch, or weights are missing or damaged.
        """
        if branch not in ('visible', 'thermal'):
            raise InputError(f'branch {branch!r} is unknown; choose visible or thermal')
        return cls(open_part(f'{branch}_depth', weights, threads))

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
        check_size(image)
        pixels = (
            as_rgb8(image) if self._session.get_inputs()[0].shape[1] == 3 else as_grey8(image, self._gain)[..., None]
        )
        size = (pixels.shape[1], pixels.shape[0])
        scale = min(FOCAL / focal, 1.0) if focal else 1.0
        # Whole strides across, so that less is mirrored; the image keeps its shape, for depth is learned of such.
        width = max(1, round(size[0] * scale / self._stride)) * self._stride
        height = max(MINIMUM_SIZE, round(size[1] * width / size[0]))
        method = cv2.INTER_AREA if width < size[0] else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, (width, height), interpolation=method).reshape(height, width, -1)
        planes = resized.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255.0)
        # The mirrored image as well: what both say errs less.
        both = (self._session.run(None, {'image': each}) for each in (planes, np.ascontiguousarray(planes[..., ::-1])))
        log_depth, variance = (
            np.asarray(cv2.resize((first + second[..., ::-1])[0, 0] / 2, size), np.float32)
            for first, second in zip(*both, strict=True)
        )
        # The resized image has another focal length.
        log_depth += np.float32(np.log((focal or self._canonical) * width / size[0] / self._canonical))
        return np.exp(log_depth), np.sqrt(variance)
