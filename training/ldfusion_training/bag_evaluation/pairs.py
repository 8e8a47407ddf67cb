"""The pairs of a recording in the order in which the node would fuse them, read as a stream."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.lens import Lens
from ldfusion_models.camera.pairing import Pair, Synchroniser
from ldfusion_models.camera.registration import Matrix, as_matrix
from ldfusion_models.errors import InputError
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.bag_evaluation.topics import ChosenTopics
from ldfusion_training.recordings.bags import SECOND, Record, Recording, rotation_from_quaternion

# Measured depth may be recorded this long after the images that it belongs to.
DEPTH_WAIT_NS = SECOND // 2
LARGEST_WAIT = 30


@dataclass(frozen=True)
class InputPair:
    """A pair as it was recorded.

    Attributes:
        stamp_ns: of the visible image; the outputs' stamp.
        offset_ns: thermal minus visible stamp after the clock offset.
        visible, thermal: as decoded, of any size, 8 or 16 bits.
        frame_id: of the visible image.
        lenses: by camera, as camera_info says; without those that are not known.
        truth: the message with measured depth that is nearest in time; None if there is none near enough.
        camera_T_truth: (4, 4), from the frame of a cloud to that of the visible camera; None if unknown.
        thermal_T_visible: (4, 4), from the frame of the visible camera to that of the thermal one; None if unknown.
    """

    stamp_ns: int
    offset_ns: int
    visible: AnyImage
    thermal: AnyImage
    frame_id: str
    lenses: dict[str, Lens]
    truth: Record | None
    camera_T_truth: npt.NDArray[np.float64] | None  # noqa: N815 (frames' usual notation)
    thermal_T_visible: Matrix | None  # noqa: N815


@dataclass(frozen=True)
class _Waiting:
    """A pair that waits for measured depth, and when its last image was recorded."""

    pair: Pair[Record]
    log_ns: int


class PairReader:
    """Reads the pairs of a recording; iterate over it once.

    Attributes:
        counts: images by camera, pairs, and pairs with measured depth.
        drops: images without a partner, and damaged ones, by cause.
        problems: the first of each kind of message that could not be used.
    """

    def __init__(self, recording: Recording, topics: ChosenTopics, settings: BagSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: dict[str, str] = {}
        self._recording, self._topics = recording, topics
        self._tolerance_ns = round(settings.depth_tolerance * SECOND)
        self._synchroniser: Synchroniser[Record] = Synchroniser(settings.node.pairing())
        self._first: dict[str, int] = {}
        self._damaged: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._truths: deque[Record] = deque(maxlen=LARGEST_WAIT)
        self._transforms: dict[str, tuple[str, npt.NDArray[np.float64]]] = {}
        # camera_info comes after the first image as often as before; the first one holds from the start.
        self._lenses: dict[str, Lens] = {}
        for topic in (topics.visible_info, topics.thermal_info):
            if topic and (first := next(recording.read([topic]), None)) is not None:
                self._take(first)

    @property
    def drops(self) -> dict[str, int]:
        """Images that were not used, by cause."""
        return dict(sorted((self._synchroniser.drops + self._damaged).items()))

    def __iter__(self) -> Iterator[InputPair]:
        for record in self._recording.read(self._topics.names()):
            for pair in self._take(record):
                self._waiting.append(_Waiting(pair, record.log_ns))
            yield from self._ready(record.log_ns)
        yield from self._ready(None)

    def unpaired_explanation(self) -> str:
        """Why there is no pair, where there is none."""
        visible, thermal = self.counts['visible'], self.counts['thermal']
        if not (visible and thermal):
            return f'{visible} visible and {thermal} thermal images; both are needed'
        tolerance = 1e-6 * self._synchroniser.config.tolerance_ns
        return (
            f'no pair within {tolerance:g} ms among {visible} visible and {thermal} thermal images; '
            f'their first stamps differ by {1e-9 * self._first_offset_ns:.3f} s (thermal minus visible): '
            'raise --sync-tolerance, or correct --clock-offset'
        )

    @property
    def _first_offset_ns(self) -> int:
        return self._first['thermal'] + self._synchroniser.config.clock_offset_ns - self._first['visible']

    def _take(self, record: Record) -> list[Pair[Record]]:
        topics = self._topics
        if record.topic == topics.visible:
            self._count('visible', record)
            return self._synchroniser.add_visible(record.stamp_ns, record)
        if record.topic == topics.thermal:
            self._count('thermal', record)
            return self._synchroniser.add_thermal(record.stamp_ns, record)
        if record.topic in (topics.depth, topics.points):
            self._truths.append(record)
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
            self._lenses = self._lenses | {camera: record.lens()}
        except InputError as error:
            self.problems.setdefault(f'{camera}_info', f'{record.topic}: {error}')

    def _ready(self, now_ns: int | None) -> Iterator[InputPair]:
        """Pairs for which no nearer measured depth can come; all of them at the end (None)."""
        has_depth = bool(self._topics.depth or self._topics.points)
        while self._waiting:
            waiting = self._waiting[0]
            newest_ns = self._truths[-1].stamp_ns if self._truths else None
            is_ready = (
                not has_depth
                or now_ns is None
                or (newest_ns is not None and newest_ns >= waiting.pair.visible_ns)
                or now_ns - waiting.log_ns > DEPTH_WAIT_NS
                or len(self._waiting) > LARGEST_WAIT
            )
            if not is_ready:
                return
            self._waiting.popleft()
            if (decoded := self._decoded(waiting.pair)) is not None:
                yield decoded

    def _decoded(self, pair: Pair[Record]) -> InputPair | None:
        images = []
        for camera, record in (('visible', pair.visible), ('thermal', pair.thermal)):
            try:
                images.append(_checked(record.image()))
            except InputError as error:
                self._damaged[f'{camera}_bad'] += 1
                self.problems.setdefault(f'{camera}_bad', f'{record.topic} at {record.stamp_ns}: {error}')
                return None
        truth = min(self._truths, key=lambda record: abs(record.stamp_ns - pair.visible_ns), default=None)
        if truth is not None and abs(truth.stamp_ns - pair.visible_ns) > self._tolerance_ns:
            truth = None
        frame_id = pair.visible.message.header.frame_id
        transform = None if truth is None else self._transform(frame_id, truth.message.header.frame_id)
        extrinsics = self._transform(pair.thermal.message.header.frame_id, frame_id)
        self.counts['pairs'] += 1
        self.counts['pairs with measured depth'] += truth is not None
        return InputPair(
            pair.visible_ns, pair.offset_ns, images[0], images[1], frame_id, self._lenses, truth, transform,
            None if extrinsics is None else as_matrix(extrinsics),
        )  # fmt: skip

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


def _checked(image: npt.NDArray[Any]) -> AnyImage:
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'image of {image.dtype} pixels; 8 or 16 bits are needed')
    return image


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
