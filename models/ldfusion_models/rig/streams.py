"""The images of two cameras as they arrive: pairs, or single images while the other camera is lost."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ldfusion_models.camera.pairing import Synchroniser
from ldfusion_models.rig.settings import StreamSettings

T = TypeVar('T')

OFFSETS_KEPT = 50
# Images that came so much later than the last pair have other stamps than it had.
SECONDS_A_PAIR_TELLS = 1.0


@dataclass(frozen=True)
class Moment(Generic[T]):
    """What is to be fused; one of the two may be None, not both.

    Attributes:
        visible, thermal: what arrived; None of a camera that is lost.
        stamp_ns: of the visible image, or of the thermal one where it is alone, in the clock of the visible camera.
        offset_ns: thermal minus visible stamp after the clock offset; 0 for one alone.
        complete_s: when the last of the two arrived.
    """

    visible: T | None
    thermal: T | None
    stamp_ns: int
    offset_ns: int
    complete_s: float

    @property
    def mode(self) -> str:
        """``normal``, or which camera works alone."""
        if self.visible is not None and self.thermal is not None:
            return 'normal'
        return 'visible only' if self.visible is not None else 'thermal only'

    @property
    def leading(self) -> T:
        """What gives the outputs their stamp and frame."""
        leading = self.visible if self.visible is not None else self.thermal
        assert leading is not None
        return leading


class Streams(Generic[T]):
    """Turns what two cameras send into moments; all times are seconds of one clock that never goes back.

    A node hands in when messages arrive; a reader of recordings, when they were recorded.
    """

    def __init__(self, settings: StreamSettings, now_s: float) -> None:
        self._synchroniser: Synchroniser[tuple[T, float]] = Synchroniser(settings.pairing())
        self._degraded_after = settings.degraded_after
        self._last_s = {'visible': now_s, 'thermal': now_s}
        # When each camera began to send without a pause.
        self._begun_s = {'visible': now_s, 'thermal': now_s}
        self._last_ns: dict[str, int] = {}
        self._offsets_ns: deque[int] = deque(maxlen=OFFSETS_KEPT)
        self._paired_s = now_s
        self._reported: dict[str, int] = {}

    def add(self, camera: str, stamp_ns: int, arrived_s: float, item: T) -> list[Moment[T]]:
        """Take what the ``visible`` or ``thermal`` camera sent; returns what can be fused now, oldest first."""
        if arrived_s - self._last_s[camera] > self._degraded_after:
            self._begun_s[camera] = arrived_s
        self._last_s[camera] = arrived_s
        self._last_ns[camera] = stamp_ns
        if self._is_alone(camera, arrived_s):
            # A partner that comes yet, when a stalled link delivers, would take the outputs back in time.
            self._synchroniser.forget()
            if camera == 'visible':
                return [Moment(item, None, stamp_ns, 0, arrived_s)]
            return [Moment(None, item, stamp_ns + self._synchroniser.config.clock_offset_ns, 0, arrived_s)]
        add = self._synchroniser.add_visible if camera == 'visible' else self._synchroniser.add_thermal
        pairs = add(stamp_ns, (item, arrived_s))
        if pairs:
            self._offsets_ns.extend(pair.offset_ns for pair in pairs)
            self._paired_s = arrived_s
        return [
            Moment(
                pair.visible[0], pair.thermal[0], pair.visible_ns, pair.offset_ns, max(pair.visible[1], pair.thermal[1])
            )
            for pair in pairs
        ]

    def adjust(self, settings: StreamSettings) -> None:
        """Take over changed settings; the images that wait stay."""
        self._synchroniser.config = settings.pairing()
        self._degraded_after = settings.degraded_after

    def silence(self, camera: str, now_s: float) -> float:
        """Seconds since the camera's last image, or since the start."""
        return now_s - self._last_s[camera]

    @property
    def drops(self) -> dict[str, int]:
        """Images that found no partner, by cause."""
        return dict(self._synchroniser.drops)

    def new_drops(self) -> dict[str, int]:
        """As ``drops``, since the last call."""
        drops = self.drops
        new = {cause: count - self._reported.get(cause, 0) for cause, count in drops.items()}
        self._reported = drops
        return {cause: count for cause, count in new.items() if count}

    def offset(self) -> float | None:
        """Seconds by which thermal stamps are later than visible ones: median of the last pairs.

        Where images of both come but no pairs, the difference of their last stamps; None without images of both.
        """
        if self._offsets_ns and min(self._last_s.values()) - self._paired_s < SECONDS_A_PAIR_TELLS:
            return float(np.median(self._offsets_ns)) / 1e9
        if len(self._last_ns) < 2:
            return None
        last_ns = self._last_ns['thermal'] - self._last_ns['visible'] + self._synchroniser.config.clock_offset_ns
        return last_ns / 1e9

    def _is_alone(self, camera: str, now_s: float) -> bool:
        """Whether the other camera has sent nothing for too long; after a pause of both, either may come first."""
        other = 'thermal' if camera == 'visible' else 'visible'
        return 0 < self._degraded_after < now_s - max(self._last_s[other], self._begun_s[camera])
