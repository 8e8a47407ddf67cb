"""From received messages to what the pipeline takes: pairs, or one camera alone while the other is lost."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image

from ldfusion_models.camera.images import AnyImage, as_rgb8
from ldfusion_models.camera.pairing import PairingConfig, Synchroniser
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.errors import InputError
from ldfusion_ros.messages.conversions import image_from_compressed, image_from_message
from ldfusion_ros.parts.fusion_parameters import FusionParameters

CELSIUS_ZERO = 273.15
OFFSETS_KEPT = 50
# Images that came so much later than the last pair have other stamps than it had.
SECONDS_A_PAIR_TELLS = 1.0


def nanoseconds(stamp: Time) -> int:
    """A message's stamp as one number."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


@dataclass(frozen=True)
class Received:
    """A message and when it came, in seconds of the monotonic clock."""

    message: Image | CompressedImage
    arrived_s: float


@dataclass(frozen=True)
class Job:
    """What the worker is to fuse; one of the two may be None, not both."""

    visible: Received | None
    thermal: Received | None

    @property
    def mode(self) -> str:
        """``normal``, or which camera works alone."""
        if self.visible and self.thermal:
            return 'normal'
        return 'visible only' if self.visible else 'thermal only'

    @property
    def leading(self) -> Received:
        """The message that gives the outputs their stamp and frame."""
        received = self.visible or self.thermal
        assert received is not None
        return received

    @property
    def complete_s(self) -> float:
        """When its last message came."""
        return max(received.arrived_s for received in (self.visible, self.thermal) if received)


class StreamSettings(Protocol):
    """What a node's parameters say of its streams."""

    @property
    def degraded_after(self) -> float: ...

    def pairing(self) -> PairingConfig: ...


class Streams:
    """Turns the messages of two cameras into jobs: pairs, or single images while the other camera is lost."""

    def __init__(self, parameters: StreamSettings) -> None:
        self._synchroniser: Synchroniser[Received] = Synchroniser(parameters.pairing())
        self._degraded_after = parameters.degraded_after
        now = time.monotonic()
        self._last_s = {'visible': now, 'thermal': now}
        # When each camera began to send without a pause.
        self._begun_s = {'visible': now, 'thermal': now}
        self._last_ns: dict[str, int] = {}
        self._offsets_ns: deque[int] = deque(maxlen=OFFSETS_KEPT)
        self._paired_s = now
        self._told: dict[str, int] = {}

    def add(self, camera: str, message: Image | CompressedImage) -> list[Job]:
        """Take a message of the ``visible`` or ``thermal`` camera; returns what can be fused now, oldest first."""
        received = Received(message, time.monotonic())
        stamp_ns = nanoseconds(message.header.stamp)
        if received.arrived_s - self._last_s[camera] > self._degraded_after:
            self._begun_s[camera] = received.arrived_s
        self._last_s[camera] = received.arrived_s
        self._last_ns[camera] = stamp_ns
        if self._is_alone(camera, received.arrived_s):
            return [Job(received, None) if camera == 'visible' else Job(None, received)]
        synchroniser = self._synchroniser
        pairs = (synchroniser.add_visible if camera == 'visible' else synchroniser.add_thermal)(stamp_ns, received)
        if pairs:
            self._offsets_ns.extend(pair.offset_ns for pair in pairs)
            self._paired_s = received.arrived_s
        return [Job(pair.visible, pair.thermal) for pair in pairs]

    def adjust(self, parameters: StreamSettings) -> None:
        """Take over changed parameters; the images that wait stay."""
        self._synchroniser.config = parameters.pairing()
        self._degraded_after = parameters.degraded_after

    def silence(self, camera: str) -> float:
        """Seconds since the camera's last image, or since the start."""
        return time.monotonic() - self._last_s[camera]

    def new_drops(self) -> dict[str, int]:
        """Images that the synchroniser dropped since the last call, by cause."""
        drops = self._synchroniser.drops
        new = {cause: count - self._told.get(cause, 0) for cause, count in drops.items()}
        self._told = dict(drops)
        return {cause: count for cause, count in new.items() if count}

    def offset(self) -> float | None:
        """Seconds by which thermal stamps are later than visible ones: median of the last pairs.

        Where images of both come but no pairs, the difference of their last stamps; None without images of both.
        """
        if self._offsets_ns and min(self._last_s.values()) - self._paired_s < SECONDS_A_PAIR_TELLS:
            return float(np.median(self._offsets_ns)) / 1e9
        if len(self._last_ns) < 2:
            return None
        return (
            self._last_ns['thermal'] - self._last_ns['visible']
        ) / 1e9 + self._synchroniser.config.clock_offset_ns / 1e9

    def _is_alone(self, camera: str, now: float) -> bool:
        """Whether the other camera has sent nothing for too long; after a pause of both, either may come first."""
        other = 'thermal' if camera == 'visible' else 'visible'
        return 0 < self._degraded_after < now - max(self._last_s[other], self._begun_s[camera])


class BadFrameError(InputError):
    """A message that can't be used; ``camera`` says whose."""

    def __init__(self, camera: str, words: str) -> None:
        super().__init__(f'{camera}: {words}')
        self.camera = camera


@dataclass(frozen=True)
class InputImages:
    """The images of a job as the pipeline takes them, and ``heat``, the thermal values for the cloud (None: none)."""

    visible: AnyImage
    thermal: AnyImage
    counts: AnyImage | None


class Decoder:
    """Decodes jobs; where a camera is lost, the other stands in for it, so that fusion adds nothing strange."""

    def __init__(self, gain: GainControl) -> None:
        self._gain = gain

    def __call__(self, job: Job) -> InputImages:
        """Decode a job's messages.

        Raises:
            BadFrameError: a message that can't be used.
        """
        if job.visible and job.thermal:
            thermal = as_grey(_decode(job.thermal, 'thermal'))
            return InputImages(_decode(job.visible, 'visible'), thermal, thermal)
        if job.visible:
            visible = as_rgb8(_decode(job.visible, 'visible'))
            return InputImages(visible, as_grey(visible), None)
        counts = as_grey(_decode(job.leading, 'thermal'))
        grey = self._gain(counts.astype(np.uint16, copy=False)) if counts.dtype == np.uint16 else counts
        return InputImages(grey, grey, counts)


def decoded(job: Job) -> tuple[AnyImage | None, AnyImage | None]:
    """The visible and the thermal image of a job as they came; None for a camera that is lost.

    Raises:
        BadFrameError: a message that can't be used.
    """
    visible = _decode(job.visible, 'visible') if job.visible else None
    return visible, as_grey(_decode(job.thermal, 'thermal')) if job.thermal else None


def heat_of(
    counts: AnyImage | None,
    shape: tuple[int, int],
    parameters: FusionParameters,
    coverage: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """The cloud's thermal values at the size of the fused image: grey, counts or, with a scale, temperatures.

    NaN where ``coverage`` (H, W) is 0.
    """
    if counts is None:
        return np.full(shape, np.nan, np.float32)
    values = counts.astype(np.float32)
    if counts.dtype == np.uint16 and parameters.thermal_scale > 0:
        zero = CELSIUS_ZERO if parameters.thermal_unit == 'celsius' else 0.0
        values = values * np.float32(parameters.thermal_scale) + np.float32(parameters.thermal_offset - zero)
    if values.shape != shape:
        values = np.asarray(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    if coverage is None:
        return values
    if coverage.shape != shape:
        coverage = np.asarray(cv2.resize(coverage, shape[::-1], interpolation=cv2.INTER_NEAREST), np.float32)
    return np.where(coverage > 0, values, np.float32(np.nan))


def heat_unit(counts: AnyImage | None, parameters: FusionParameters) -> str:
    """What the values of :func:`heat_of` are."""
    if counts is None or counts.dtype != np.uint16:
        return 'grey'
    return parameters.thermal_unit if parameters.thermal_scale > 0 else 'counts'


def _decode(received: Received, camera: str) -> AnyImage:
    try:
        if isinstance(received.message, CompressedImage):
            return image_from_compressed(received.message)
        return image_from_message(received.message)
    except InputError as error:
        raise BadFrameError(camera, str(error)) from error


def as_grey(image: AnyImage) -> AnyImage:
    """RGB (H, W, 3) or grey to grey (H, W) of the same type."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint16 if image.dtype == np.uint16 else np.uint8)
