"""A published depth network beside the frames, for which it is too slow: at its own rate it corrects their depth."""

from dataclasses import dataclass
from typing import Any

from ldfusion_models.engines import create_engine
from ldfusion_models.published.store import prepared_graph
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_models.rig.references import References
from ldfusion_models.rig.rig import Frame, Rig
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.language import give_way

# 6 % of a processor where frames use all of them, for 8 % of the frames (docs/models.md). Not an idle thread: frames
# would wait for it whenever it has to step aside with Python's lock.
NICENESS = 11
# A scale holds on from view to view, but another place may have another one; where frames use all processors of a slow
# machine the next one takes most of a minute, and as long again until it is replaced.
SCALE_SECONDS = 120.0
NOTHING_YET = 'no depth yet'


@dataclass(frozen=True)
class Said:
    """What the network said of the view of a moment, beside what the frame's own network, ``weights_id``, did."""

    references: References
    stamp_ns: int
    weights_id: str


class SlowDepth(Part):
    """Runs the network on the latest view in a thread of its own that gives way to the frames."""

    def __init__(self, node: ManagedNode[FusionParameters], rig: Rig) -> None:
        """Load the network, if one is asked for.

        Raises:
            InputError: it is not here, or not prepared.
        """
        self._node, self._rig = node, rig
        self._name, source = node.parameters.correcting_depth, node.parameters.depth_source
        self._pipeline: Pipeline | None = None
        if self._name:
            engine = create_engine('onnxruntime', prepared_graph(self._name, source), threads=1)
            self._pipeline = Pipeline(engine, None, max(engine.info.size or (0,)), 'none')
        self._worker: LatestWorker[tuple[Frame, int]] = LatestWorker(self._estimate, self._on_failure)
        self._latest: Said | None = None
        self._words, self._is_nice = NOTHING_YET, False

    def start(self) -> None:
        """Begin to wait for frames."""
        self._latest, self._words, self._is_nice = None, NOTHING_YET, False
        if self._pipeline is not None:
            self._worker.start()

    def stop(self) -> None:
        """Finish the frame in hand and end the thread."""
        self._worker.stop()

    def release(self) -> None:
        """Let go of the network."""
        self._pipeline = None

    def offer(self, frame: Frame, stamp_ns: int) -> None:
        """Hand in a frame, whose view is to be estimated; it replaces one that waits."""
        if self._pipeline is not None:
            self._worker.submit((frame, stamp_ns))

    def of(self, stamp_ns: int) -> References | None:
        """The network's last depth as references for the frame of a moment; None if there is none of about then."""
        references, self._words = self._at(stamp_ns)
        return references

    def report(self, health: Health) -> None:
        """How old the network's depth was for the last frame."""
        if self._name:
            health.facts['correcting depth'] = f'{self._name}: {self._words}'

    def _at(self, stamp_ns: int) -> tuple[References | None, str]:
        """As :meth:`of`, and in words."""
        latest = self._latest
        if latest is None or latest.weights_id != self._weights_id:
            return None, NOTHING_YET
        age_s = (stamp_ns - latest.stamp_ns) / 1e9
        words = f'{age_s:.2f} s old'
        # Negative where a recording starts anew.
        if not 0 <= age_s <= SCALE_SECONDS:
            return None, f'not used, {words}'
        if age_s > self._node.parameters.correcting_depth_age:
            return latest.references.aged(), f'scale only, {words}'
        return latest.references, words

    @property
    def _weights_id(self) -> str:
        return self._rig.pipeline.engine.info.weights_id

    def _estimate(self, item: tuple[Frame, int]) -> None:
        frame, stamp_ns = item
        if not self._is_nice:
            give_way(NICENESS)
            self._is_nice = True
        pipeline: Any = self._pipeline
        view, weights_id = frame.view, self._weights_id
        depth = pipeline(view.visible, view.thermal, coverage=view.coverage).depth
        self._latest = Said(References.of_view(depth, frame.estimate, self._name), stamp_ns, weights_id)
        self._node.announcer.end('slow depth')

    def _on_failure(self, error: Exception) -> None:
        self._node.announcer.once('slow depth', f'correcting_depth: {error}; depth is not corrected by it')
