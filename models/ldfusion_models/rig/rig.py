"""The one way from the images of two cameras to a frame; nodes, recordings and files all go it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.images import AnyImage, as_grey, as_grey8, as_rgb8, as_uint8
from ldfusion_models.camera.lens import Intrinsics, Lens, rays
from ldfusion_models.camera.registration import Matrix, Registrar, Registration, continue_thermal
from ldfusion_models.camera.registration_file import read_registration
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.camera.thermal_reader import CELSIUS_ZERO, ThermalForm, ThermalReader
from ldfusion_models.engines import Engine
from ldfusion_models.errors import InputError
from ldfusion_models.paths import named_path
from ldfusion_models.rig.ground import ground_references
from ldfusion_models.rig.measured import Measured
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_models.rig.references import Correction, Corrector, References
from ldfusion_models.rig.settings import RigSettings

Coverage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """What the cameras saw at one moment, decoded; one of the two images may be None, not both.

    Attributes:
        visible: (H, W, 3) RGB or (H, W) grey, 8 or 16 bits.
        thermal: as its camera sent it, (h, w) or (h, w, 3): 8 bits, counts of 16 bits, or temperatures (float32).
        calibrations: of the cameras, by ``visible`` and ``thermal``; without those that are not known.
        thermal_T_visible: (4, 4), points of the visible optical frame to the thermal one; None if unknown.
        measured: depth that others have measured, in the frame or the image of the camera that leads; the first that
            can be used is.
        height: metres of the camera above the ground where the settings don't say it; 0 if unknown.
    """

    visible: AnyImage | None
    thermal: AnyImage | None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    thermal_T_visible: Matrix | None = None  # noqa: N815 (frames' usual notation)
    measured: Sequence[Measured] = ()
    height: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image that leads: the visible one where there is one."""
        leading = self.visible if self.visible is not None else self.thermal
        if leading is None:
            raise InputError('neither camera has an image')
        return leading.shape[1], leading.shape[0]

    def read(self, reader: ThermalReader, form: ThermalForm) -> 'Shot':
        """With the thermal image as one of heat, and the calibration of its camera for the rows that are left of it.

        Raises:
            InputError: as the reader.
        """
        if self.thermal is None:
            return self
        height, width = self.thermal.shape[:2]
        thermal = reader(self.thermal, form)
        calibrations = self.calibrations
        if thermal.shape[0] != height and (known := calibrations.get('thermal')):
            left = known.rows(width, height, form.cut_top, thermal.shape[0])
            calibrations = {**calibrations, 'thermal': left}
        return replace(self, thermal=thermal, calibrations=calibrations)


@dataclass(frozen=True)
class View:
    """A shot in the pixels of the camera that leads, ready for the networks.

    Attributes:
        visible: (H, W, 3) RGB uint8.
        thermal: (h, w) uint8 after gain control.
        counts: (h, w) grey, counts or kelvin (float32), registered; None without a thermal camera.
        coverage: (H, W) weight of the thermal image from 0, where its camera does not see, to 1; None for 1.
        camera: intrinsics of these images; None if unknown.
        calibration: of the camera that leads, if its image was not undistorted: distortion is still in it.
        seconds: that it took to prepare.
    """

    visible: npt.NDArray[np.uint8]
    thermal: npt.NDArray[np.uint8]
    counts: AnyImage | None
    coverage: Coverage | None
    camera: Intrinsics | None
    calibration: Calibration | None
    seconds: float = 0.0


@dataclass(frozen=True)
class Frame:
    """What became of a shot; all images of one size (H, W), that of the leading camera unless results stay reduced.

    Attributes:
        fused: (H, W, 3) RGB uint8.
        depth: (H, W) float32 metres along the optical axis; NaN unknown, unsure, or out of the settings' range.
        estimate: (H, W) float32 metres, depth as the network gave it, before anything corrected or limited it.
        confidence: (H, W) float32, 0 to 1: exp(-s), s the standard deviation of log depth that the network expects.
        thermal_values: (H, W) float32: grey, counts or temperature, NaN where nothing is seen.
        camera: intrinsics of these images; None if unknown.
        calibration: as in :class:`View`, at this size.
        view: what the networks were given.
        seconds: by step, ``register``, ``engine`` and, where there is something to correct by, ``correct``.
        correction: what depth was corrected by; None if by nothing.
    """

    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    estimate: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    thermal_values: npt.NDArray[np.float32]
    camera: Intrinsics | None
    calibration: Calibration | None
    view: View
    seconds: dict[str, float]
    correction: Correction | None = None

    @cached_property
    def visible(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB, as the networks saw it."""
        if self.view.visible.shape == self.fused.shape:
            return self.view.visible
        return as_uint8(cv2.resize(self.view.visible, self.fused.shape[1::-1], interpolation=cv2.INTER_AREA))

    @cached_property
    def thermal(self) -> npt.NDArray[np.uint8]:
        """(H, W), as the networks saw it: after gain control, going on as visible light beyond its border."""
        view = self.view
        size = view.visible.shape[1::-1]
        grey = view.thermal
        if view.coverage is not None:
            grey = continue_thermal(grey, as_uint8(cv2.cvtColor(view.visible, cv2.COLOR_RGB2GRAY)), view.coverage)
        elif grey.shape[::-1] != size:
            grey = as_uint8(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR))
        if grey.shape == self.depth.shape:
            return grey
        return as_uint8(cv2.resize(grey, self.depth.shape[::-1], interpolation=cv2.INTER_AREA))

    def rays(self, stride: int = 1) -> npt.NDArray[np.float32] | None:
        """Directions (h, w, 3) with z = 1 of every ``stride``-th pixel; None without a known camera.

        Where the image is distorted, they are those of the lens itself.
        """
        return rays_of(self.camera, self.calibration, stride)


class Rig:
    """Two cameras and the networks; call it with one shot after the other.

    Gain control and registration by depth remember the shots before.

    Attributes:
        settings: may be exchanged between two shots, as far as they take effect ``now``.
        pipeline: may be exchanged between two shots.
        asked: the registration that the settings name; None if they name none.
        registration_problem: why the images are taken as aligned although a registration is asked for; else empty.
        correction_problem: why depth could not be corrected by what it should be; else empty.
    """

    def __init__(self, pipeline: Pipeline, settings: RigSettings, is_video: bool = True) -> None:
        """Take over the networks.

        Args:
            pipeline: runs the networks; see :func:`pipeline_of`.
            settings: of the rig.
            is_video: whether shots follow each other; otherwise each is taken by itself.

        Raises:
            InputError: the registration file can't be used.
        """
        self.settings = settings
        self._is_video = is_video
        self._gain = GainControl(settings.gain() if is_video else replace(settings.gain(), smoothing=0.0))
        self.pipeline = pipeline
        self.asked: Registration | None = None
        if settings.registration_file:
            self.asked = read_registration(named_path(settings.registration_file))
        self._registrar: Registrar | None = None
        self._read_thermal = ThermalReader()
        self._last_depth: npt.NDArray[np.float32] | None = None
        self.registration_problem = ''
        self._corrector = Corrector()
        self.correction_problem = ''

    def close(self) -> None:
        """Let go of the engine, whoever else still knows the rig; no shot can be fused any more."""
        del self.pipeline

    @property
    def thermal_notes(self) -> dict[str, str]:
        """What somebody should know of the thermal images, by kind."""
        return self._read_thermal.notes

    @property
    def undistorts(self) -> bool:
        """Whether the distortion of the lenses is removed."""
        return self.asked is not None and self.asked.undistort

    @property
    def wants_transform(self) -> bool:
        """Whether the registration leaves it to others how the cameras lie to each other."""
        return self.asked is not None and self.asked.method == 'cameras' and self.asked.thermal_T_visible is None

    @property
    def depends_on_depth(self) -> bool:
        """Whether a shot's registration depends on the depth of the shot before."""
        return self.asked is not None and self.asked.geometry == 'depth'

    @property
    def registration(self) -> str:
        """How the images are brought together, for people."""
        if self.asked is None:
            return 'none: images are taken as aligned'
        method = f'{self.asked.method}{", undistorted" if self.asked.undistort else ""}'
        return f'{method}; not applied' if self.registration_problem else method

    def __call__(self, shot: Shot, text: npt.NDArray[np.float32] | None = None) -> Frame:
        """Fuse a shot.

        Args:
            shot: what the cameras saw.
            text: (D,) embedding, or None for none.

        Raises:
            InputError: images that the networks can't take.
        """
        if self._is_video:
            return self._fuse(self.prepare(shot), text, shot)
        self._last_depth = None
        self._corrector.forget()
        frame = self._fuse(self.prepare(shot), text, shot)
        # By itself a shot takes two rounds: the depth that the first one, with a plane, sees is the second's geometry.
        return self._fuse(self.prepare(shot), text, shot) if self.depends_on_depth else frame

    def prepare(self, shot: Shot) -> View:
        """Registration and gain control, all that later shots depend on; where it is enough, the networks can rest.

        Raises:
            InputError: images that the networks can't take.
        """
        start = time.perf_counter()
        shot = shot.read(self._read_thermal, self.settings.thermal_form())
        registrar = self._registrar_for(shot)
        if shot.visible is not None and shot.thermal is not None:
            view = self._pair(shot, shot.visible, as_grey(shot.thermal), registrar)
        else:
            view = self._alone(shot, registrar)
        return replace(view, seconds=time.perf_counter() - start)

    def _pair(self, shot: Shot, visible: AnyImage, thermal: AnyImage, registrar: Registrar | None) -> View:
        coverage, camera = None, None
        if registrar:
            pair = registrar(visible, thermal, self._last_depth)
            visible, thermal, coverage, camera = pair.visible, pair.thermal, pair.coverage, pair.camera
        colour = as_rgb8(visible)
        grey = as_grey8(thermal, self._gain, coverage)
        return View(colour, grey, thermal, coverage, *self._seen_by('visible', shot, visible, camera, registrar))

    def _alone(self, shot: Shot, registrar: Registrar | None) -> View:
        """One camera stands in for the other, so that fusion adds nothing strange."""
        counts: AnyImage | None = None
        image: AnyImage
        if shot.visible is not None:
            leading, image = 'visible', as_rgb8(shot.visible)
        else:
            assert shot.thermal is not None
            leading, counts = 'thermal', as_grey(shot.thermal)
            image = as_grey8(counts, self._gain)
        camera = None
        if registrar:
            image, camera = registrar.alone(leading, image)
            counts = None if counts is None else registrar.alone(leading, counts)[0]
        colour = as_rgb8(image)
        grey = as_uint8(as_grey(image))
        return View(colour, grey, counts, None, *self._seen_by(leading, shot, image, camera, registrar))

    def _seen_by(
        self, leading: str, shot: Shot, image: AnyImage, camera: Intrinsics | None, registrar: Registrar | None
    ) -> tuple[Intrinsics | None, Calibration | None]:
        """Intrinsics of the leading camera's image, and its calibration if the image is as the lens made it."""
        height, width = image.shape[:2]
        if registrar and registrar.registration.undistort and camera:
            return camera, None
        known = shot.calibrations.get(leading)
        lens: Lens | None = getattr(self.asked, leading, None)
        if known is None and lens is not None:
            known = Calibration.of_lens(lens)
        if known is not None:
            known = known.scaled(width, height)
            return known.camera, known
        degrees = self.settings.fallback_field_of_view
        return (Intrinsics.from_field_of_view(width, height, degrees), None) if degrees > 0 else (None, None)

    def _registrar_for(self, shot: Shot) -> Registrar | None:
        """What can be applied: made anew when a calibration or the distance changes, None while parts are missing."""
        if self.asked is None:
            return None
        distance = self.settings.registration_distance or self.asked.distance
        lenses = {name: known.lens for name, known in shot.calibrations.items()}
        try:
            wanted = replace(self.asked, distance=distance).complete(
                lenses.get('visible'), lenses.get('thermal'), shot.thermal_T_visible
            )
            if self._registrar is None or self._registrar.registration != wanted:
                self._registrar = Registrar(wanted)
        except InputError as error:
            self.registration_problem = str(error)
            return None
        self.registration_problem = ''
        return self._registrar

    def _fuse(self, view: View, text: npt.NDArray[np.float32] | None, shot: Shot) -> Frame:
        start = time.perf_counter()
        focal = view.camera.fx if view.camera else None
        result = self.pipeline(view.visible, view.thermal, text, focal, view.coverage)
        seconds = {'register': view.seconds, 'engine': time.perf_counter() - start}
        height, width = result.depth.shape
        camera = view.camera and view.camera.scaled(width, height)
        calibration = view.calibration and view.calibration.scaled(width, height)
        start = time.perf_counter()
        correction = self._corrected(result.depth, shot, camera, calibration)
        if correction is not None or self.correction_problem:
            seconds['correct'] = time.perf_counter() - start
        depth = result.depth if correction is None else correction.depth
        self._last_depth = depth
        confidence = np.asarray(cv2.exp(-result.uncertainty), np.float32)
        return Frame(
            result.fused,
            within_limits(depth, confidence, self.settings),
            result.depth,
            confidence,
            thermal_values(view, (height, width), self.settings),
            camera,
            calibration,
            view,
            seconds,
            correction,
        )

    def _corrected(
        self,
        depth: npt.NDArray[np.float32],
        shot: Shot,
        camera: Intrinsics | None,
        calibration: Calibration | None,
    ) -> Correction | None:
        """Depth corrected by what was measured, else by the camera's height; None if by neither."""
        self.correction_problem = ''
        sources = [partial(measured.seen_in, depth, camera, calibration) for measured in shot.measured]
        if (height := self.settings.camera_height or shot.height) > 0:
            sources.append(partial(_by_height, height, depth, camera, calibration))
        smoothing = self.settings.correction_smoothing if self._is_video else 0.0
        for references in sources:
            try:
                return self._corrector(depth, references(), smoothing)
            except InputError as error:
                self.correction_problem = self.correction_problem or str(error)
        self._corrector.forget()
        return None


def _by_height(
    height: float, depth: npt.NDArray[np.float32], camera: Intrinsics | None, calibration: Calibration | None
) -> References:
    directions = rays_of(camera, calibration, 1)
    if directions is None:
        raise InputError('camera_height: without camera_info (or --fx) there is no ground to be found')
    return ground_references(depth, directions, height)


def pipeline_of(engine: Engine, settings: RigSettings) -> Pipeline:
    """A pipeline that reduces and enlarges images as the settings say; gain control is the rig's."""
    size = engine.info.size
    return Pipeline(engine, None, settings.inference_size or (max(size) if size else 0), settings.enlargement)


@lru_cache(maxsize=2)
def rays_of(camera: Intrinsics | None, calibration: Calibration | None, stride: int) -> npt.NDArray[np.float32] | None:
    """As :meth:`Frame.rays`."""
    if calibration is not None and calibration.lens is not None and calibration.lens.is_distorted:
        return calibration.lens.rays()[::stride, ::stride]
    return None if camera is None else rays(camera)[::stride, ::stride]


def thermal_values(view: View, shape: tuple[int, int], settings: RigSettings) -> npt.NDArray[np.float32]:
    """Grey, counts or, with a scale, temperatures (H, W) of the thermal image; NaN where its camera does not see."""
    counts, coverage = view.counts, view.coverage
    if counts is None:
        return np.full(shape, np.nan, np.float32)
    values = counts.astype(np.float32)
    zero = CELSIUS_ZERO if settings.thermal_unit == 'celsius' else 0.0
    if counts.dtype == np.float32:
        values = values - np.float32(zero)
    elif counts.dtype != np.uint8 and settings.thermal_scale > 0:
        values = values * np.float32(settings.thermal_scale) + np.float32(settings.thermal_offset - zero)
    if values.shape != shape:
        values = np.asarray(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    if coverage is None:
        return values
    if coverage.shape != shape:
        coverage = np.asarray(cv2.resize(coverage, shape[::-1], interpolation=cv2.INTER_NEAREST), np.float32)
    return np.where(coverage > 0, values, np.float32(np.nan))


def thermal_unit(view: View, settings: RigSettings) -> str:
    """What the values of :func:`thermal_values` are."""
    if view.counts is None or view.counts.dtype == np.uint8:
        return 'grey'
    return settings.thermal_unit if settings.thermal_scale > 0 or view.counts.dtype == np.float32 else 'counts'


def within_limits(
    depth: npt.NDArray[np.float32], confidence: npt.NDArray[np.float32], settings: RigSettings
) -> npt.NDArray[np.float32]:
    """Depth (H, W), NaN where it is out of range, or less sure than is wanted."""
    if max(settings.minimum_depth, settings.maximum_depth, settings.minimum_confidence) <= 0:
        return depth
    kept = (depth >= settings.minimum_depth) & (confidence >= settings.minimum_confidence)
    if settings.maximum_depth > 0:
        kept &= depth <= settings.maximum_depth
    return np.where(kept, depth, np.float32(np.nan))
