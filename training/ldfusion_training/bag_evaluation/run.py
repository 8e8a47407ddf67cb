"""One recording from its first pair to its last: fused, measured, logged; goes on where it was interrupted."""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from ldfusion_models.engines import Engine
from ldfusion_models.errors import InputError
from ldfusion_models.rig.rig import Rig, pipeline_of
from ldfusion_training.bag_evaluation.frame_log import FrameLog, Row
from ldfusion_training.bag_evaluation.gallery import Gallery, remove_pictures, save_pictures
from ldfusion_training.bag_evaluation.measures import measure
from ldfusion_training.bag_evaluation.outputs import WriteFrame, open_output_bag, open_video
from ldfusion_training.bag_evaluation.pairs import FusedShot, PairReader, RecordedShot
from ldfusion_training.bag_evaluation.settings import BagSettings
from ldfusion_training.bag_evaluation.topics import ChosenTopics, choose_topics
from ldfusion_training.recordings.bags import Recording, open_recording
from ldfusion_training.report.tables import write_json

STATE, FRAMES, LATENCIES, DONE, PICTURES = 'state.json', 'frames.jsonl', 'latency.jsonl', 'done.json', 'pictures'
SPEED = 'speed.json'
# A column of the log for words; only frames that have the problem have it.
DEPTH_PROBLEM = 'depth problem'
COUNTS = ('visible', 'thermal', 'pairs', 'pairs with measured depth')
OUTPUT_BAG, VIDEO = 'outputs', 'video.mp4'
# More threads than this only wait for each other.
MOST_THREADS = 8

Progress = Callable[[int, int], object]
Measured = tuple[dict[str, float], str]


@dataclass(frozen=True)
class _Pending:
    """A frame whose measures are being taken."""

    index: int
    shot: FusedShot
    measures: 'Future[Measured]'


def evaluate_recording(
    bag: Path, folder: Path, engine: Engine, settings: BagSettings, progress: Progress | None = None
) -> None:
    """Evaluate a recording into a folder: measures and times of its frames, pictures and, at the end, ``done.json``.

    An evaluation that is done already is left as it is; one that was interrupted goes on with the same result.

    Args:
        bag: rosbag2 recording.
        folder: of this recording alone.
        engine: runs the networks.
        settings: of the evaluation.
        progress: called with the frames that are done and how many there will be, about.

    Raises:
        InputError: the recording can't be read, lacks topics or pairs, or the folder holds an evaluation with other
            settings.
    """
    with open_recording(bag) as recording:
        topics, notes = choose_topics(settings.topics, recording.topics, bag)
        expected = min(recording.counts[topics.visible], recording.counts[topics.thermal])
        _begin(folder, _state(bag, recording, topics, engine, settings))
        if (folder / DONE).is_file():
            if progress:
                progress(expected, expected)
            return
        _Evaluation(recording, topics, notes, folder, engine, settings).run(bag, progress, expected)


class _Evaluation:
    """An evaluation at work."""

    def __init__(
        self,
        recording: Recording,
        topics: ChosenTopics,
        notes: list[str],
        folder: Path,
        engine: Engine,
        settings: BagSettings,
    ) -> None:
        self._recording, self._folder, self._settings, self._notes = recording, folder, settings, notes
        self._engine, self._topics = engine, topics
        self._rig = Rig(pipeline_of(engine, settings.node), settings.node)
        self._reader = PairReader(recording, topics, settings, self._rig.asked)
        self._gallery = Gallery()
        self._problems: dict[str, str] = {}
        self._refused = 0

    def run(self, bag: Path, progress: Progress | None, expected: int) -> None:
        first_engine, start = self._engine.name, (time.perf_counter(), time.process_time())
        with ExitStack() as stack:
            log = FrameLog(self._folder / FRAMES)
            stack.callback(log.close)
            latencies = FrameLog(self._folder / LATENCIES)
            stack.callback(latencies.close)
            stack.enter_context(_opencv_in_one_thread())
            self._remember(log.rows)
            outputs = self._outputs(stack)
            pool = stack.enter_context(ThreadPoolExecutor(_threads(), thread_name_prefix='measure'))
            pending: deque[_Pending] = deque()
            before: FusedShot | None = None
            done, timed = len(log.rows), len(latencies.rows)
            for index, shot in enumerate(self._fused(done, everything=bool(outputs))):
                if shot is not None:
                    for write in outputs:
                        write(shot)
                    if index >= done:
                        pending.append(_Pending(index, shot, pool.submit(self._measure, index, shot, before)))
                        if index >= len(latencies.rows):
                            latencies.append({'frame': index, **_milliseconds(shot.frame.seconds)})
                before = shot
                while pending and (pending[0].measures.done() or len(pending) > 2 * _threads()):
                    self._store(pending.popleft(), log)
                if progress:
                    progress(index + 1, expected)
            while pending:
                self._store(pending.popleft(), log)
            if not log.rows:
                reasons = [*self._problems.values(), *self._reader.problems.values()]
                raise InputError(f'{bag}: {(reasons or [self._reader.unpaired_explanation()])[0]}')
        if self._engine.name != first_engine:
            self._problems['engine'] = f'frames are of two engines: {first_engine}, then {self._engine.name}; run again'
        self._finish()
        self._write_speed(latencies.rows[timed:], time.perf_counter() - start[0], time.process_time() - start[1])

    def _fused(self, done: int, everything: bool) -> Iterator[FusedShot | None]:
        """All pairs; None for those done before that nothing depends on."""
        # The scale of corrected depth is smoothed from frame to frame.
        node = self._settings.node
        is_corrected = bool(self._topics.ranges or node.ground_frame) or node.camera_height > 0
        needed_from = 0 if everything or is_corrected or self._rig.depends_on_depth else done - 1
        warm = False
        index = 0
        with ThreadPoolExecutor(1, thread_name_prefix='read') as reader:
            shots = iter(self._reader)
            ahead = reader.submit(next, shots, None)
            while (recorded := ahead.result()) is not None:
                ahead = reader.submit(next, shots, None)
                is_wanted = recorded.is_pair and index >= needed_from
                visible = recorded.shot.visible
                if is_wanted and not warm and visible is not None:
                    self._rig.pipeline.warm_up(visible.shape[1], visible.shape[0])
                    warm = True
                try:
                    shot = self._fuse(recorded, is_wanted)
                except InputError as error:
                    self._refused += recorded.is_pair
                    self._problems.setdefault('refused', f'pair at {recorded.stamp_ns}: {error}')
                    continue
                if recorded.is_pair:
                    yield shot
                    index += 1

    def _fuse(self, recorded: RecordedShot, is_wanted: bool) -> FusedShot | None:
        """What later shots depend on is done of all, as the node would."""
        if not is_wanted:
            self._rig.prepare(recorded.shot)
            return None
        shot = FusedShot(recorded, self._rig(recorded.shot))
        for kind, note in self._rig.thermal_notes.items():
            self._reader.notes.setdefault(f'thermal {kind}', note)
        if problem := self._rig.registration_problem:
            self._reader.notes.setdefault('registration', f'{problem}; until then, images are taken as aligned')
        if problem := self._rig.correction_problem:
            self._reader.notes.setdefault('correction', f'{problem}; depth of such frames is not corrected as asked')
        return shot

    def _outputs(self, stack: ExitStack) -> list[WriteFrame]:
        outputs = []
        if self._settings.output_bag:
            outputs.append(stack.enter_context(open_output_bag(self._folder / OUTPUT_BAG)))
        if self._settings.mp4:
            outputs.append(stack.enter_context(open_video(self._folder / VIDEO)))
        return outputs

    def _measure(self, index: int, shot: FusedShot, before: FusedShot | None) -> Measured:
        every = self._settings.metrics_every
        return measure(shot, before, index % every == 0, self._settings) if every else ({}, '')

    def _remember(self, rows: list[Row]) -> None:
        for index, row in enumerate(rows):
            if DEPTH_PROBLEM in row:
                self._problems.setdefault('depth', row[DEPTH_PROBLEM])
            _, left_out = self._gallery.offer(index, row['stamp_ns'], row)
            for other in left_out:
                remove_pictures(self._pictures(other))

    def _store(self, pending: _Pending, log: FrameLog) -> None:
        """Log a frame's measures; its pictures first, so that what is logged is complete."""
        recorded, frame = pending.shot.recorded, pending.shot.frame
        values: Row
        values, problem = pending.measures.result()
        if problem:
            values = values | {DEPTH_PROBLEM: problem}
            self._problems.setdefault('depth', problem)
        taken, left_out = self._gallery.offer(pending.index, recorded.stamp_ns, values)
        if taken:
            save_pictures(self._pictures(pending.index), pending.shot)
        log.append(
            {
                'frame': pending.index,
                'stamp_ns': recorded.stamp_ns,
                'offset_ms': recorded.offset_ns / 1e6,
                'covered': 1.0 if frame.view.coverage is None else float((frame.view.coverage > 0).mean()),
                **values,
            }
        )
        for index in left_out:
            remove_pictures(self._pictures(index))

    def _pictures(self, index: int) -> Path:
        return self._folder / PICTURES / f'{index:06d}'

    def _finish(self) -> None:
        counts = dict(self._reader.counts)
        counts['pairs'] -= self._refused
        if problem := self._reader.stamp_problem():
            self._problems['stamps'] = problem
        damage = [*self._recording.problems, *self._reader.problems.values(), *self._problems.values()]
        content = {
            'topics': {name: topic for name, topic in asdict(self._topics).items() if topic},
            'counts': {name: counts.get(name, 0) for name in COUNTS},
            'drops': self._reader.drops | ({'refused': self._refused} if self._refused else {}),
            'problems': damage,
            'notes': [*self._notes, *self._reader.notes.values()],
            'pictures': {
                'even': self._gallery.even,
                'worst': {name: [asdict(worst) for worst in kept] for name, kept in self._gallery.worst.items()},
            },
        }
        write_json(self._folder / DONE, content)

    def _write_speed(self, times: list[Row], seconds: float, processor_seconds: float) -> None:
        """How long this run took beside the time of preparation and engine, which a node needs as well."""
        if times:
            fusing = sum(row['register'] + row['engine'] for row in times) / 1e3
            content = {
                'frames': len(times),
                'seconds': seconds,
                'processor_seconds': processor_seconds,
                'fusing_seconds': fusing,
            }
            write_json(self._folder / SPEED, content)


def _begin(folder: Path, state: dict[str, Any]) -> None:
    """Write what this evaluation is, or check that what is there is the same."""
    path = folder / STATE
    if not path.is_file():
        write_json(path, state)
        return
    try:
        known = json.loads(path.read_text())
    except ValueError:
        known = None
    if known != json.loads(json.dumps(state)):
        raise InputError(
            f'{folder}: holds an evaluation with other settings, weights or another recording; '
            'remove it or choose another --output'
        )


def _state(
    bag: Path, recording: Recording, topics: ChosenTopics, engine: Engine, settings: BagSettings
) -> dict[str, Any]:
    return {
        'recording': {'name': bag.name, 'messages': {name: recording.counts[name] for name in topics.names()}},
        'engine': {'name': engine.name, 'device': engine.device, 'precision': engine.precision},
        'weights': engine.info.weights_id,
        'settings': asdict(settings),
    }


def _milliseconds(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(1e3 * value, 3) for name, value in seconds.items()}


@contextmanager
def _opencv_in_one_thread() -> Iterator[None]:
    """Several frames are measured at a time; more threads would only get in each other's and the engine's way."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _threads() -> int:
    """Threads that measure, beside the one that fuses."""
    return max(1, min(MOST_THREADS, len(os.sched_getaffinity(0)) - 1))
