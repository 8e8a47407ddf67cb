"""What a recording's cameras saw, in the order in which the node would fuse it, read as a stream."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.registration import Matrix, Registration, as_matrix
from ldfusion_models.errors import InputError
from ldfusion_models.rig.ground import height_above
from ldfusion_models.rig.measured import Measured, Sweep, Sweeps
from ldfusion_models.rig.rig import Frame, Shot
from ldfusion_models.rig.streams import Moment, Streams
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.bag_evaluation.topics import ChosenTopics
from ldfusion_training.recordings.bags import SECOND, Record, Recording, rotation_from_quaternion

# Measured depth may be recorded this long after the images that it belongs to.
DEPTH_WAIT_NS = SECOND // 2
LARGEST_WAIT = 30
# Above this part of a camera's images, stamps that repeat or go back are the recording's fault, not a few messages'.
BAD_STAMPS = 0.1
STAMP_DROPS = ('duplicate', 'out_of_order', 'reset')


@dataclass(frozen=True)
class RecordedShot:
    """What the cameras saw at a moment of a recording, and what was measured then.

    Attributes:
        stamp_ns: of the leading image; the outputs' stamp.
        offset_ns: thermal minus visible stamp after the clock offset.
        shot: the images with their cameras; one of the two may be missing while its camera was lost.
        frame_id: of the leading image.
        truth: the message with measured depth that is nearest in time; None if there is none near enough.
        camera_T_truth: (4, 4), from the frame of a cloud to that of the visible camera; None if unknown.
    """

    stamp_ns: int
    offset_ns: int
    shot: Shot
    frame_id: str
    truth: Record | None
    camera_T_truth: npt.NDArray[np.float64] | None  # noqa: N815 (frames' usual notation)

    @property
    def is_pair(self) -> bool:
        """Whether both cameras saw something."""
        return self.shot.visible is not None and self.shot.thermal is not None


@dataclass(frozen=True)
class FusedShot:
    """A shot of a recording and what became of it."""

    recorded: RecordedShot
    frame: Frame


@dataclass(frozen=True)
class _Waiting:
    """A moment that waits for measured depth, and when its last image was recorded."""

    moment: Moment[Record]
    log_ns: int


class PairReader:
    """Reads the pairs of a recording, and single images where the other camera was lost; iterate over it once.

    Attributes:
        counts: images by camera, pairs, and pairs with measured depth.
        drops: images without a partner, and damaged ones, by cause.
        problems: the first of each kind of message that could not be used.
        notes: what else is to be known, by camera.
    """

    def __init__(
        self,
        recording: Recording,
        topics: ChosenTopics,
        settings: BagSettings,
        registration: Registration | None = None,
    ) -> None:
        """Begin; ``registration`` may tell where the sensors of ranges are."""
        self._registration = registration or Registration()
        self.counts: Counter[str] = Counter()
        self.problems: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self._recording, self._topics = recording, topics
        self._tolerance_ns = round(settings.depth_tolerance * SECOND)
        self._pairing = settings.node.pairing()
        self._streams: Streams[Record] | None = None
        self._settings = settings.node
        self._by_arrival = settings.pair_by == 'arrival'
        self._first: dict[str, int] = {}
        self._damaged: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._truths: deque[Record] = deque(maxlen=LARGEST_WAIT)
        self._ranges = Sweeps()
        self._transforms: dict[str, tuple[str, npt.NDArray[np.float64]]] = {}
        # camera_info comes after the first image as often as before; the first one holds from the start.
        self._calibrations: dict[str, Calibration] = {}
        for topic in (topics.visible_info, topics.thermal_info):
            if topic and (first := next(recording.read([topic]), None)) is not None:
                self._take(first)

    @property
    def drops(self) -> dict[str, int]:
        """Images that were not used, by cause."""
        unpaired = Counter(self._streams.drops if self._streams else {})
        return dict(sorted((unpaired + self._damaged).items()))

    def __iter__(self) -> Iterator[RecordedShot]:
        for record in self._recording.read(self._topics.names()):
            if self._by_arrival:
                record = replace(record, stamp_ns=record.log_ns)
            for moment in self._take(record):
                self._waiting.append(_Waiting(moment, record.log_ns))
            yield from self._ready(record.log_ns)
        yield from self._ready(None)

    def unpaired_explanation(self) -> str:
        """Why there is no pair, where there is none."""
        visible, thermal = self.counts['visible'], self.counts['thermal']
        if not (visible and thermal):
            return f'{visible} visible and {thermal} thermal images; both are needed'
        tolerance = 1e-6 * self._pairing.tolerance_ns
        return (
            f'no pair within {tolerance:g} ms among {visible} visible and {thermal} thermal images; '
            f'their first stamps differ by {1e-9 * self._first_offset_ns:.3f} s (thermal minus visible): '
            'raise --sync-tolerance, or correct --clock-offset'
        )

    def stamp_problem(self) -> str:
        """What is wrong with the stamps, where many images were left out for them; else empty."""
        bad = {camera: sum(self.drops.get(f'{camera}_{cause}', 0) for cause in STAMP_DROPS) for camera in self._first}
        if not any(number > BAD_STAMPS * self.counts[camera] for camera, number in bad.items()):
            return ''
        images = ' and '.join(f'{number} of {self.counts[camera]} {camera} images' for camera, number in bad.items())
        return f'{images} are left out: their stamps repeat or go back; --pair-by arrival takes when they were recorded'

    @property
    def _first_offset_ns(self) -> int:
        return self._first['thermal'] + self._pairing.clock_offset_ns - self._first['visible']

    def _take(self, record: Record) -> list[Moment[Record]]:
        topics = self._topics
        if record.topic in (topics.visible, topics.thermal):
            camera = 'visible' if record.topic == topics.visible else 'thermal'
            self._count(camera, record)
            arrived_s = record.log_ns / SECOND
            if self._streams is None:
                self._streams = Streams(self._settings, arrived_s)
            return self._streams.add(camera, record.stamp_ns, arrived_s, record)
        if record.topic in (topics.depth, topics.points):
            self._truths.append(record)
        elif record.topic == topics.ranges:
            self._ranges.add(Sweep(record.topic, record.type, record.stamp_ns, record.message))
        elif record.topic == topics.transforms:
            self._transforms |= _parents(record)
        else:
            self._take_camera('visible' if record.topic == topics.visible_info else 'thermal', record)
        return []

    def _count(self, camera: str, record: Record) -> None:
        if not self.counts[camera]:
            self._first[camera] = record.stamp_ns
        self.counts[camera] += 1

    def _take_camera(self, camera: str, record: Record) -> None:
        try:
            calibration = record.calibration()
            self._calibrations = self._calibrations | {camera: calibration}
            if calibration.problem:
                self.notes.setdefault(camera, f'{record.topic}: {calibration.problem}; its lens stays unknown')
        except InputError as error:
            self.problems.setdefault(f'{camera}_info', f'{record.topic}: {error}')

    def _ready(self, now_ns: int | None) -> Iterator[RecordedShot]:
        """Moments for which no nearer measured depth can come; all of them at the end (None)."""
        while self._waiting and (now_ns is None or self._is_ready(self._waiting[0], now_ns)):
            if (shot := self._decode(self._waiting.popleft().moment)) is not None:
                yield shot

    def _is_ready(self, waiting: _Waiting, now_ns: int) -> bool:
        newest_ns = self._truths[-1].stamp_ns if self._truths else None
        return (
            not (self._topics.depth or self._topics.points)
            or waiting.moment.mode != 'normal'
            or (newest_ns is not None and newest_ns >= waiting.moment.stamp_ns)
            or now_ns - waiting.log_ns > DEPTH_WAIT_NS
            or len(self._waiting) > LARGEST_WAIT
        )

    def _decode(self, moment: Moment[Record]) -> RecordedShot | None:
        images: dict[str, AnyImage | None] = {}
        for camera, record in (('visible', moment.visible), ('thermal', moment.thermal)):
            try:
                encoding = self._settings.thermal_encoding if camera == 'thermal' else ''
                images[camera] = None if record is None else record.image(encoding)
            except InputError as error:
                self._damaged[f'{camera}_bad'] += 1
                self.problems.setdefault(f'{camera}_bad', f'{moment.leading.topic} at {moment.stamp_ns}: {error}')
                return None
        visible, thermal = moment.visible, moment.thermal
        frame_id = moment.leading.message.header.frame_id
        measured, height = self._measured(moment), self._height(frame_id)
        if visible is None or thermal is None:
            shot = Shot(images['visible'], images['thermal'], self._calibrations, None, measured, height)
            return RecordedShot(moment.leading.stamp_ns, 0, shot, frame_id, None, None)
        truth = min(self._truths, key=lambda record: abs(record.stamp_ns - moment.stamp_ns), default=None)
        if truth is not None and abs(truth.stamp_ns - moment.stamp_ns) > self._tolerance_ns:
            truth = None
        transform = None if truth is None else self._to_camera('visible', frame_id, truth.message.header.frame_id)
        extrinsics = self._transform(thermal.message.header.frame_id, frame_id)
        self.counts['pairs'] += 1
        self.counts['pairs with measured depth'] += truth is not None
        matrix = None if extrinsics is None else as_matrix(extrinsics)
        shot = Shot(images['visible'], images['thermal'], self._calibrations, matrix, measured, height)
        return RecordedShot(moment.stamp_ns, moment.offset_ns, shot, frame_id, truth, transform)

    def _measured(self, moment: Moment[Record]) -> Sequence[Measured]:
        """The ranges nearest in time, in the frame of the leading camera; empty if there are none that can be used."""
        leading = moment.leading.message.header.frame_id
        camera = 'thermal' if moment.visible is None else 'visible'

        def locate(frame: str) -> Matrix:
            if (found := self._to_camera(camera, leading, frame)) is None:
                raise InputError(
                    f'neither /tf_static nor visible_T_ranges of the registration file says where {frame} is'
                )
            return as_matrix(found)

        gathered = self._ranges.at(moment.stamp_ns, self._settings.ranges_tolerance, locate)
        if gathered.problem:
            self.notes.setdefault('ranges', f'{gathered.problem}; depth of such frames is not corrected by it')
        return [] if gathered.measured is None else [gathered.measured]

    def _height(self, camera: str) -> float:
        """Metres of a camera above ``ground_frame``; 0 if it is unknown."""
        frame = self._settings.ground_frame
        if not frame:
            return 0.0
        try:
            if (found := self._transform(frame, camera)) is None:
                raise InputError(f'ground_frame: /tf_static does not say where {camera} is above {frame}')
            return height_above(frame, found)
        except InputError as error:
            self.notes.setdefault('ground_frame', f'{error}; depth is not corrected by it')
            return 0.0

    def _to_camera(self, camera: str, camera_frame: str, frame: str) -> npt.NDArray[np.float64] | None:
        """Points of a sensor's frame to that of a camera, by the registration file, else by static transforms."""
        known = self._registration.ranges_to(camera, frame)
        return self._transform(camera_frame, frame) if known is None else np.array(known)

    def _transform(self, target: str, source: str) -> npt.NDArray[np.float64] | None:
        """Points of ``source`` to ``target``; None if the static transforms don't join the two."""
        (target_root, root_from_target), (source_root, root_from_source) = self._to_root(target), self._to_root(source)
        return None if target_root != source_root else np.linalg.inv(root_from_target) @ root_from_source

    def _to_root(self, frame: str) -> tuple[str, npt.NDArray[np.float64]]:
        matrix, passed = np.eye(4), {frame}
        while frame in self._transforms:
            frame, step = self._transforms[frame]
            matrix = step @ matrix
            if frame in passed:
                break
            passed.add(frame)
        return frame, matrix


def _parents(record: Record) -> dict[str, tuple[str, npt.NDArray[np.float64]]]:
    """By child: its parent, and the matrix (4, 4) from child to parent."""
    found = {}
    for stamped in record.message.transforms:
        move, turn = stamped.transform.translation, stamped.transform.rotation
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_from_quaternion(turn.x, turn.y, turn.z, turn.w)
        matrix[:3, 3] = move.x, move.y, move.z
        found[stamped.child_frame_id] = (stamped.header.frame_id, matrix)
    return found
