"""Pairs the frames of two cameras by their stamps: bounded queues, every drop counted by cause."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from ldfusion_models.errors import InputError

T = TypeVar('T')

# Intervals vary a little from frame to frame; the next frame is taken to come no earlier than this part of the
# shortest interval seen lately.
INTERVAL_MARGIN = 0.9
INTERVALS_KEPT = 8


@dataclass(frozen=True)
class PairingConfig:
    """Settings of the synchroniser; all times in nanoseconds.

    Attributes:
        tolerance_ns: stamps of a pair are at most this far apart.
        clock_offset_ns: added to the thermal stamps to express them in the visible camera's clock.
        queue_size: frames of each camera that wait for a partner; the oldest leaves first.
        reset_ns: a stamp that jumps back by more starts a new recording; by less, the frame is merely late.

    Raises:
        InputError: a value that can't work.
    """

    tolerance_ns: int = 25_000_000
    clock_offset_ns: int = 0
    queue_size: int = 10
    reset_ns: int = 500_000_000

    def __post_init__(self) -> None:
        if self.tolerance_ns < 0 or self.reset_ns < 0:
            raise InputError(f'pairing tolerance {self.tolerance_ns} and reset {self.reset_ns} must not be negative')
        if self.queue_size < 1:
            raise InputError(f'pairing queue of {self.queue_size}: at least one frame must fit')


@dataclass(frozen=True)
class Pair(Generic[T]):
    """Two frames that belong together; ``offset_ns`` is thermal minus visible after the clock offset."""

    visible: T
    thermal: T
    visible_ns: int
    thermal_ns: int
    offset_ns: int


class _Stream(Generic[T]):
    """The waiting frames of one camera, oldest first, with their stamps in the common clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames: deque[tuple[int, T]] = deque()
        self.last_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=INTERVALS_KEPT)

    def append(self, stamp_ns: int, item: T) -> None:
        if self.last_ns is not None:
            self._intervals.append(stamp_ns - self.last_ns)
        self.last_ns = stamp_ns
        self.frames.append((stamp_ns, item))

    def restart(self) -> None:
        self.frames.clear()
        self.last_ns = None
        self._intervals.clear()

    def nearest(self, stamp_ns: int) -> int:
        """Index of the waiting frame nearest to a stamp; of two, the earlier."""
        return min(range(len(self.frames)), key=lambda index: abs(self.frames[index][0] - stamp_ns))

    def may_bring_nearer(self, stamp_ns: int) -> bool:
        """Whether a frame still to come could be nearer to ``stamp_ns`` than the newest one, which is older."""
        newest = self.frames[-1][0]
        interval = INTERVAL_MARGIN * min(self._intervals, default=0)
        return 2 * (stamp_ns - newest) > interval


class Synchroniser(Generic[T]):
    """Finds pairs in two streams of frames, each in the order of its stamps.

    A pair is two waiting frames that are each other's nearest, within the tolerance. It is handed out at once where
    the frame intervals seen so far leave no room for a nearer frame, else when the next frame has come. Frames older
    than a pair are dropped, so that pairs never go back in time and no frame is used twice.

    Attributes:
        drops: frames dropped by cause, such as ``visible_unpaired`` or ``thermal_duplicate``.
    """

    def __init__(self, config: PairingConfig | None = None) -> None:
        self.config = config or PairingConfig()
        self.drops: Counter[str] = Counter()
        self._visible: _Stream[T] = _Stream('visible')
        self._thermal: _Stream[T] = _Stream('thermal')

    def add_visible(self, stamp_ns: int, item: T) -> list[Pair[T]]:
        """Take a frame of the visible camera; returns the pairs that are now certain, oldest first."""
        return self._add(self._visible, stamp_ns, item)

    def add_thermal(self, stamp_ns: int, item: T) -> list[Pair[T]]:
        """Take a frame of the thermal camera; returns the pairs that are now certain, oldest first."""
        return self._add(self._thermal, stamp_ns + self.config.clock_offset_ns, item)

    def forget(self) -> None:
        """Drop what waits: a pair of it would come too late."""
        for stream in (self._visible, self._thermal):
            self._drop(stream, 'unpaired', len(stream.frames))
            stream.frames.clear()

    @property
    def waiting(self) -> tuple[int, int]:
        """Visible and thermal frames that wait for a partner."""
        return len(self._visible.frames), len(self._thermal.frames)

    def _add(self, stream: _Stream[T], stamp_ns: int, item: T) -> list[Pair[T]]:
        if stream.last_ns is not None and stamp_ns <= stream.last_ns:
            if stamp_ns >= stream.last_ns - self.config.reset_ns:
                cause = 'duplicate' if stamp_ns == stream.last_ns else 'out_of_order'
                self._drop(stream, cause)
                return []
            self._start_over(stream)
        stream.append(stamp_ns, item)
        pairs = self._take_pairs(certain_only=True)
        if len(stream.frames) > self.config.queue_size:
            pairs += self._take_pairs(certain_only=False)
        while len(stream.frames) > self.config.queue_size:
            stream.frames.popleft()
            self._drop(stream, 'unpaired')
        return pairs

    def _start_over(self, stream: _Stream[T]) -> None:
        """Forget what belongs to the time before a jump back; the other stream jumps, and forgets, by itself."""
        self._drop(stream, 'reset', len(stream.frames))
        stream.restart()

    def _take_pairs(self, certain_only: bool) -> list[Pair[T]]:
        pairs = []
        while (indices := self._earliest_match()) is not None:
            if certain_only and not self._is_certain(*indices):
                break
            pairs.append(self._take(*indices))
        return pairs

    def _earliest_match(self) -> tuple[int, int] | None:
        """Indices of the earliest waiting frames that are each other's nearest within the tolerance."""
        visible, thermal = self._visible, self._thermal
        if not thermal.frames:
            return None
        for index, (stamp_ns, _) in enumerate(visible.frames):
            partner = thermal.nearest(stamp_ns)
            partner_ns = thermal.frames[partner][0]
            if abs(partner_ns - stamp_ns) <= self.config.tolerance_ns and visible.nearest(partner_ns) == index:
                return index, partner
        return None

    def _is_certain(self, visible_index: int, thermal_index: int) -> bool:
        """Only a later frame of the older one's stream could be nearer: the newer one's stream has moved on."""
        visible_ns = self._visible.frames[visible_index][0]
        thermal_ns = self._thermal.frames[thermal_index][0]
        if visible_ns <= thermal_ns:
            stream, index, newer_ns = self._visible, visible_index, thermal_ns
        else:
            stream, index, newer_ns = self._thermal, thermal_index, visible_ns
        return index + 1 < len(stream.frames) or not stream.may_bring_nearer(newer_ns)

    def _take(self, visible_index: int, thermal_index: int) -> Pair[T]:
        for stream, index in ((self._visible, visible_index), (self._thermal, thermal_index)):
            for _ in range(index):
                stream.frames.popleft()
            self._drop(stream, 'unpaired', index)
        visible_ns, visible = self._visible.frames.popleft()
        thermal_ns, thermal = self._thermal.frames.popleft()
        stamp_ns = thermal_ns - self.config.clock_offset_ns
        return Pair(visible, thermal, visible_ns, stamp_ns, thermal_ns - visible_ns)

    def _drop(self, stream: _Stream[T], cause: str, count: int = 1) -> None:
        if count:
            self.drops[f'{stream.name}_{cause}'] += count
