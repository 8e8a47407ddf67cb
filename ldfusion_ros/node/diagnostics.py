"""What a node tells about itself: rates, drops by cause, latencies, and whether somebody should look."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ldfusion_models.shown import one_line

LATENCIES_KEPT = 200
SECONDS_BETWEEN_WARNINGS = 5.0
# Causes of drops that come with cameras of different rates and say nothing bad.
HARMLESS = ('visible_unpaired', 'thermal_unpaired')


@dataclass(frozen=True)
class Report:
    """What happened up to now.

    Attributes:
        rates: messages per second by name since the last report.
        counts: messages by name since the start.
        new_counts: messages by name since the last report.
        drops: frames dropped by cause since the start.
        new_drops: frames dropped by cause since the last report.
        latencies: 50th and 95th percentile in milliseconds by stage, over the last frames.
    """

    rates: Mapping[str, float]
    counts: Mapping[str, int]
    new_counts: Mapping[str, int]
    drops: Mapping[str, int]
    new_drops: Mapping[str, int]
    latencies: Mapping[str, tuple[float, float]]


NOTHING_YET = Report({}, {}, {}, {}, {}, {})


class Statistics:
    """Counts and times from several threads; :meth:`report` sums them up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._seconds: dict[str, deque[float]] = {}
        self._last = (time.monotonic(), self._counts.copy(), self._drops.copy())

    def count(self, name: str) -> None:
        """One more message called ``name``."""
        with self._lock:
            self._counts[name] += 1

    def drop(self, cause: str, frames: int = 1) -> None:
        """So many frames were dropped for ``cause``."""
        with self._lock:
            self._drops[cause] += frames

    def time(self, stage: str, seconds: float) -> None:
        """A stage took so long."""
        with self._lock:
            self._seconds.setdefault(stage, deque(maxlen=LATENCIES_KEPT)).append(seconds)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time the block as a stage."""
        start = time.perf_counter()
        yield
        self.time(stage, time.perf_counter() - start)

    def forget_times(self) -> None:
        """What took so long will take another time from now on."""
        with self._lock:
            self._seconds.clear()

    def report(self) -> Report:
        """Sum up; the next report's rates and new drops count from here."""
        with self._lock:
            now = time.monotonic()
            then, counts, drops = self._last
            self._last = (now, self._counts.copy(), self._drops.copy())
            new_counts = {name: count - counts[name] for name, count in self._counts.items()}
            return Report(
                rates={name: count / max(now - then, 1e-3) for name, count in new_counts.items()},
                counts=dict(self._counts),
                new_counts=new_counts,
                drops=dict(self._drops),
                new_drops={cause: n - drops[cause] for cause, n in self._drops.items() if n > drops[cause]},
                latencies={
                    stage: tuple(1e3 * np.percentile(seconds, (50, 95))) for stage, seconds in self._seconds.items()
                },
            )


class Announcer:
    """Logs each kind of event at most once in a while, or once until it has ended."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._logged_s: dict[str, float] = {}

    def now_and_then(self, kind: str, text: str) -> None:
        """Log it unless something of this kind was logged a few seconds ago."""
        now = time.monotonic()
        if now - self._logged_s.get(kind, -np.inf) >= SECONDS_BETWEEN_WARNINGS:
            self._logged_s[kind] = now
            self._log(text)

    def once(self, kind: str, text: str) -> None:
        """Log it unless it was logged since the last :meth:`end` of this kind."""
        if kind not in self._logged_s:
            self._logged_s[kind] = np.inf
            self._log(text)

    def end(self, kind: str) -> None:
        """What this kind is about has ended."""
        self._logged_s.pop(kind, None)


@dataclass
class Health:
    """What the parts of a node report: what is wrong, the worst level of it, and facts.

    Attributes:
        recent: what happened up to now.
        is_active: whether the node should be working.
        level, problems: the worst level, and what is wrong in the order in which somebody should look at it.
        facts: what else is to be known, by name.
    """

    recent: Report
    is_active: bool
    level: bytes = DiagnosticStatus.OK
    problems: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def warn(self, text: str) -> None:
        """Somebody should look."""
        self.level = max(self.level, DiagnosticStatus.WARN)
        self.problems.append(text)

    def error(self, text: str) -> None:
        """It does not work."""
        self.level = DiagnosticStatus.ERROR
        self.problems.append(text)

    def as_status(self, name: str) -> DiagnosticStatus:
        """The message: what is wrong first, then facts, rates, counts, drops and latencies as keys and values."""
        recent = self.recent
        values = {key: one_line(value) for key, value in self.facts.items()}
        values |= {f'rate {key} [Hz]': f'{value:.2f}' for key, value in recent.rates.items()}
        values |= {f'count {key}': str(value) for key, value in recent.counts.items()}
        values |= {f'dropped {cause}': str(count) for cause, count in sorted(recent.drops.items())}
        for stage, (median, high) in recent.latencies.items():
            values |= {f'{stage} p50 [ms]': f'{median:.1f}', f'{stage} p95 [ms]': f'{high:.1f}'}
        return DiagnosticStatus(
            name=name,
            hardware_id='ldfusion',
            level=self.level,
            message=one_line('; '.join(self.problems)) or 'running',
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
