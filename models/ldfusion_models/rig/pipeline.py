"""The runtime: images of any size and type in, fused image and metric depth out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8, as_uint8
from ldfusion_models.camera.registration import continue_thermal, fade_out
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.errors import InputError
from ldfusion_models.rig.upsampling import enlarge_fused, enlarge_guided, enlarge_nearest


@dataclass(frozen=True)
class FusionResult:
    """One frame's result, at the visible image's size unless the pipeline leaves reduced results as they are.

    Attributes:
        fused: (H, W, 3) RGB uint8.
        depth: (H, W) float32, metres along the optical axis.
        uncertainty: (H, W) float32, standard deviation of log depth as the network estimates it: 0.1 is about 10 %.
    """

    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]


class Pipeline:
    """Owns the engine and the gain control of one camera pair; call it with one pair after the other."""

    def __init__(
        self,
        engine: Engine,
        gain: GainControl | None = None,
        inference_size: int = 0,
        enlargement: str = 'guided',
    ) -> None:
        """Take over an engine.

        Args:
            engine: runs the networks.
            gain: of 16-bit thermal images.
            inference_size: images with a longer side are reduced to this many pixels for the networks; 0: none are.
            enlargement: how depth of reduced images comes back to their size, where ``none``
                leaves depth and fused image reduced.
        """
        self.engine = engine
        self._gain = gain or GainControl()
        self._inference_size = inference_size
        self._enlargement = enlargement
        self._no_text = np.zeros((1, engine.info.text_dim), np.float32)

    @classmethod
    def load(cls, engine: str = 'auto', weights: Path | None = None, threads: int = 0) -> 'Pipeline':
        """Load the weights into an engine; see :func:`ldfusion_models.engines.create_engine`."""
        return cls(create_engine(engine, weights, threads))

    def __call__(
        self,
        visible: AnyImage,
        thermal: AnyImage,
        text: npt.NDArray[np.float32] | None = None,
        focal: float | None = None,
        coverage: npt.NDArray[np.float32] | None = None,
    ) -> FusionResult:
        """Fuse one aligned pair.

        Args:
            visible: (H, W, 3) RGB or (H, W) grey, uint8 or uint16.
            thermal: (h, w), uint8 or uint16 counts; resized to the visible image if it differs.
            text: (D,) embedding, or None for none.
            focal: horizontal focal length of the visible camera in pixels at this size; None leaves depth as
                for the canonical camera.
            coverage: (H, W) from 0, where the thermal camera doesn't see and the fused image is the visible one, to 1;
                ``thermal`` then has the size of ``visible``. None where it sees all.

        Raises:
            InputError: shapes, types or sizes that the networks can't take.
        """
        colour = as_rgb8(visible)
        inputs = self.inputs_of(colour, thermal, text, coverage)
        output = self.engine.run(inputs['visible'], inputs['thermal'], inputs['text'])
        fused, depth, uncertainty = output.fused[0], output.depth[0], output.uncertainty[0]
        reduced = inputs['visible'][0]
        if focal is not None and self.engine.info.canonical_focal:
            depth = depth * np.float32(focal * reduced.shape[1] / colour.shape[1] / self.engine.info.canonical_focal)
        if reduced.shape != colour.shape:
            if self._enlargement != 'none':
                fused, depth = self._enlarged(colour, reduced, fused, depth)
                size = (colour.shape[1], colour.shape[0])
                uncertainty = np.asarray(cv2.resize(uncertainty, size, interpolation=cv2.INTER_LINEAR), np.float32)
            elif coverage is not None:
                small = cv2.resize(coverage, fused.shape[1::-1], interpolation=cv2.INTER_AREA)
                colour, coverage = reduced, np.asarray(small, np.float32)
        if coverage is not None:
            fused = fade_out(fused, colour, coverage)
        return FusionResult(fused, depth, uncertainty)

    def inputs_of(
        self,
        visible: AnyImage,
        thermal: AnyImage,
        text: npt.NDArray[np.float32] | None = None,
        coverage: npt.NDArray[np.float32] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """What the frame graph takes of a pair, by name; arguments and errors as for a call."""
        colour = as_rgb8(visible)
        grey = as_grey8(thermal, self._gain, coverage)
        if coverage is not None:
            grey = continue_thermal(grey, as_uint8(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)), coverage)
        size = size_of_inference(colour.shape[1], colour.shape[0], self._inference_size)
        fixed = self.engine.info.size or size
        if size != fixed:
            raise InputError(
                f'an image comes to the networks with {size[0]}x{size[1]} pixels, but the exported graph takes '
                f'{fixed[0]}x{fixed[1]} only; set inference_size, or export for the right size'
            )
        if colour.shape[1::-1] != size:
            colour = as_uint8(cv2.resize(colour, size, interpolation=cv2.INTER_AREA))
        if grey.shape[::-1] != size:
            grey = as_uint8(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR))
        return {'visible': colour[None], 'thermal': grey[None, :, :, None], 'text': self._embedding(text)}

    def _enlarged(
        self,
        visible: npt.NDArray[np.uint8],
        reduced: npt.NDArray[np.uint8],
        fused: npt.NDArray[np.uint8],
        depth: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        large = enlarge_fused(visible, reduced, fused)
        if self._enlargement == 'guided':
            return large, enlarge_guided(depth, fused, large)
        return large, enlarge_nearest(depth, (visible.shape[1], visible.shape[0]))

    def warm_up(self, width: int, height: int) -> None:
        """Run once for images of this size, so that the first frame is as fast as the rest."""
        width, height = self.engine.info.size or size_of_inference(width, height, self._inference_size)
        visible = np.zeros((1, height, width, 3), np.uint8)
        self.engine.run(visible, visible[..., :1], self._no_text)

    def _embedding(self, text: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32]:
        if text is None:
            return self._no_text
        if text.shape != self._no_text.shape[1:]:
            raise InputError(f'text embedding of shape {text.shape}; this model needs {self._no_text.shape[1:]}')
        return np.ascontiguousarray(text[None], np.float32)


def size_of_inference(width: int, height: int, limit: int) -> tuple[int, int]:
    """Width and height that the networks see of an image whose longer side is reduced to ``limit`` pixels (0: none)."""
    longer = max(width, height)
    if not 0 < limit < longer:
        return width, height
    scale = limit / longer
    return max(MINIMUM_SIZE, round(width * scale)), max(MINIMUM_SIZE, round(height * scale))
