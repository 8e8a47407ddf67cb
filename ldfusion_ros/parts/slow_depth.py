"""A published depth network beside the frames, for which it is too slow: at its own rate it corrects their depth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ldfusion_models.engines import create_engine
from ldfusion_models.published.store import prepared_graph
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_models.rig.references import References
from ldfusion_models.rig.rig import View
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.language import give_way

# Every so many pixels one is a reference: a field of residuals is smoother than that.
STEP = 8
# Short of an idle thread, which frames would wait for whenever it has to step aside with Python's lock.
NICENESS = 18


@dataclass(frozen=True)
class Estimate:
    """What the network said of the view of a moment."""

    references: References
    stamp_ns: int


class SlowDepth(Part):
    """Runs the network on the latest view in a thread of its own that gives way to the frames."""

    def __init__(self, node: ManagedNode[FusionParameters]) -> None:
        """Load the network, if one is asked for.

        Raises:
            InputError: it is not here, or not prepared.
        """
        self._node = node
        self._name, source = node.parameters.correcting_depth, node.parameters.depth_source
        self._pipeline: Pipeline | None = None
        if self._name:
            engine = create_engine('onnxruntime', prepared_graph(self._name, source), threads=1)
            self._pipeline = Pipeline(engine, None, max(engine.info.size or (0,)), 'none')
        self._worker: LatestWorker[tuple[View, int]] = LatestWorker(self._estimate, self._on_failure)
        self._latest: Estimate | None = None
        self._age_s, self._is_nice = 0.0, False

    def start(self) -> None:
        """Begin to wait for views."""
        self._latest, self._is_nice = None, False
        if self._pipeline is not None:
            self._worker.start()

    def stop(self) -> None:
        """Finish the view in hand and end the thread."""
        self._worker.stop()

    def release(self) -> None:
        """Let go of the network."""
        self._pipeline = None

    def offer(self, view: View, stamp_ns: int) -> None:
        """Hand in what a frame was made of; it replaces a view that waits."""
        if self._pipeline is not None:
            self._worker.submit((view, stamp_ns))

    def of(self, stamp_ns: int) -> References | None:
        """The network's last depth as references for the frame of a moment; None if it is too old or there is none."""
        latest = self._latest
        if latest is None:
            return None
        self._age_s = (stamp_ns - latest.stamp_ns) / 1e9
        # Negative where a recording starts anew.
        return latest.references if 0 <= self._age_s <= self._node.parameters.correcting_depth_age else None

    def report(self, health: Health) -> None:
        """How old the network's depth was for the last frame."""
        if self._name:
            age = f'{self._age_s:.2f} s old' if self._latest else 'no depth yet'
            health.facts['correcting depth'] = f'{self._name}: {age}'

    def _estimate(self, item: tuple[View, int]) -> None:
        view, stamp_ns = item
        if not self._is_nice:
            give_way(NICENESS)
            self._is_nice = True
        pipeline: Any = self._pipeline
        depth = pipeline(view.visible, view.thermal, coverage=view.coverage).depth
        sparse = np.full_like(depth, np.nan)
        sparse[STEP // 2 :: STEP, STEP // 2 :: STEP] = depth[STEP // 2 :: STEP, STEP // 2 :: STEP]
        self._latest = Estimate(References.of_map(sparse, self._name), stamp_ns)
        self._node.announcer.end('slow depth')

    def _on_failure(self, error: Exception) -> None:
        self._node.announcer.once('slow depth', f'correcting_depth: {error}; depth is not corrected by it')
