"""A pair to its fused image and depth, with the node's own registration, gain control and networks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8, as_uint8
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Matrix, Registrar, Registration, continued
from ldfusion_models.camera.registration_file import read_registration
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.engines import Engine
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.bag_evaluation.pairs import InputPair
from ldfusion_training.bag_evaluation.settings import NodeSettings
from ldfusion_training.recordings.bags import Record

Image8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FusedFrame:
    """One frame, all images of one size: that of the visible one, unless the node leaves its results reduced.

    Attributes:
        stamp_ns, offset_ns: as in :class:`InputPair`.
        visible: (H, W, 3) RGB.
        thermal: (H, W), registered and after gain control; where the camera doesn't see, as the networks were told.
        covered: share of the pixels that the thermal camera sees.
        fused: (H, W, 3) RGB; None if the networks were not asked.
        depth: (H, W) metres; None as ``fused``.
        camera: of these images; None if unknown.
        frame_id: of the visible image.
        truth, camera_T_truth: as in :class:`InputPair`.
        milliseconds: that each step took.
    """

    stamp_ns: int
    offset_ns: int
    visible: Image8
    thermal: Image8
    covered: float
    fused: Image8 | None
    depth: npt.NDArray[np.float32] | None
    camera: Intrinsics | None
    frame_id: str
    truth: Record | None
    camera_T_truth: npt.NDArray[np.float64] | None  # noqa: N815
    milliseconds: dict[str, float]


class Fuser:
    """Fuses the pairs of one recording one after the other; gain control and registration remember the last ones."""

    def __init__(self, engine: Engine, settings: NodeSettings) -> None:
        """Take over an engine.

        Raises:
            InputError: the registration file can't be used.
        """
        self._settings = settings
        self._gain = GainControl(settings.gain())
        self._pipeline = Pipeline(engine, self._gain, settings.inference_size, settings.enlargement)
        self._registration = _read_registration(settings)
        self._registrar: Registrar | None = None
        self._known: tuple[dict[str, Lens], Matrix | None] | None = None
        self._last_depth: npt.NDArray[np.float32] | None = None

    @property
    def depends_on_outputs(self) -> bool:
        """Whether a frame's inputs depend on the depth of the frame before."""
        return self._registration is not None and self._registration.geometry == 'depth'

    def warm_up(self, pair: InputPair) -> None:
        """Run the networks once for images of this size, so that the first frame is as fast as the rest."""
        self._pipeline.warm_up(pair.visible.shape[1], pair.visible.shape[0])

    def __call__(self, pair: InputPair, wanted: bool = True) -> FusedFrame:
        """Fuse a pair; if it is not ``wanted``, only do what later frames depend on.

        Raises:
            InputError: images that the networks can't take, or a registration that lacks a camera.
        """
        milliseconds: dict[str, float] = {}
        with _timed(milliseconds, 'prepare'):
            visible, thermal, coverage, camera = self._registered(pair)
            colour = as_rgb8(visible)
            grey = as_grey8(thermal, self._gain, coverage)
        fused = depth = None
        if wanted:
            with _timed(milliseconds, 'engine'):
                result = self._pipeline(colour, grey, focal=camera.fx if camera else None, coverage=coverage)
            fused, depth = result.fused, result.depth
            self._last_depth = depth
            grey = _as_networks_see(grey, colour, coverage)
            if fused.shape != colour.shape:
                # The node leaves its results reduced; they are measured as they are.
                colour, grey = (_reduced(image, fused.shape[1::-1]) for image in (colour, grey))
                camera = camera.scaled(*fused.shape[1::-1]) if camera else None
        covered = 1.0 if coverage is None else float((coverage > 0).mean())
        return FusedFrame(
            pair.stamp_ns, pair.offset_ns, colour, grey, covered, fused, depth, camera, pair.frame_id,
            pair.truth, pair.camera_T_truth, milliseconds,
        )  # fmt: skip

    def _registered(
        self, pair: InputPair
    ) -> tuple[AnyImage, AnyImage, npt.NDArray[np.float32] | None, Intrinsics | None]:
        height, width = pair.visible.shape[:2]
        if self._registration is None:
            return pair.visible, pair.thermal, None, self._camera(pair.lenses, width, height)
        known = (pair.lenses, pair.thermal_T_visible)
        if self._registrar is None or self._known != known:
            self._registrar = _registrar(self._registration, *known)
            self._known = known
        registered = self._registrar(pair.visible, pair.thermal, self._last_depth)
        camera = registered.camera if self._registration.undistort else None
        camera = camera or self._camera(pair.lenses, width, height)
        return registered.visible, registered.thermal, registered.coverage, camera

    def _camera(self, lenses: dict[str, Lens], width: int, height: int) -> Intrinsics | None:
        if 'visible' in lenses:
            return lenses['visible'].camera.scaled(width, height)
        degrees = self._settings.fallback_field_of_view
        return Intrinsics.from_field_of_view(width, height, degrees) if degrees > 0 else None


def _read_registration(settings: NodeSettings) -> Registration | None:
    if not settings.registration_file:
        return None
    registration = read_registration(Path(settings.registration_file))
    distance = settings.registration_distance or registration.distance
    return replace(registration, distance=distance)


def _registrar(registration: Registration, lenses: dict[str, Lens], extrinsics: Matrix | None) -> Registrar:
    return Registrar(registration.completed(lenses.get('visible'), lenses.get('thermal'), extrinsics))


def _as_networks_see(grey: Image8, colour: Image8, coverage: npt.NDArray[np.float32] | None) -> Image8:
    """The thermal image at the size of the visible one, continued where the camera doesn't see."""
    if coverage is not None:
        return continued(grey, as_uint8(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)), coverage)
    if grey.shape == colour.shape[:2]:
        return grey
    return as_uint8(cv2.resize(grey, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def _reduced(image: Image8, size: tuple[int, ...]) -> Image8:
    return as_uint8(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


@contextmanager
def _timed(milliseconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    milliseconds[step] = 1e3 * (time.perf_counter() - start)
