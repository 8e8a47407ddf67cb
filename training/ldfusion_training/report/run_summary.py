"""What a command did to a folder of images: counts, sizes and times, as ``summary.json``."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ldfusion_training.report.tables import write_json


class RunSummary:
    """Collects sizes and times while a command works."""

    def __init__(self) -> None:
        self._sizes: Counter[str] = Counter()
        self._milliseconds: list[float] = []

    @contextmanager
    def timed(self, width: int, height: int) -> Iterator[None]:
        """Count one image of this size, and time the block."""
        start = time.perf_counter()
        yield
        self._milliseconds.append(1000 * (time.perf_counter() - start))
        self._sizes[f'{width}x{height}'] += 1

    def write(self, path: Path, **facts: str | float | None) -> None:
        """Write ``images``, ``sizes``, ``milliseconds`` per image (p50, p95, total) and the given facts."""
        p50, p95 = np.percentile(self._milliseconds, (50, 95)).round(2).tolist()
        times = {'p50': p50, 'p95': p95, 'total': round(sum(self._milliseconds), 2)}
        summary = {'images': len(self._milliseconds), **facts, 'sizes': dict(self._sizes), 'milliseconds': times}
        write_json(path, summary)
