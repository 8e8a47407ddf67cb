"""The node that says in words what the cameras see, now and then, and sends fusion_node the embedding of it."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float32MultiArray, String

from ldfusion_models.camera.images import AnyImage
from ldfusion_models.errors import InputError
from ldfusion_models.language.guidance import PairCaptioner, checked_prompt, embedding_of, embedding_of_prompt
from ldfusion_ros.messages.calibrations import Calibrations
from ldfusion_ros.messages.conversions import message_from_embedding
from ldfusion_ros.node import parameters
from ldfusion_ros.node.diagnostics import Announcer, Findings, Report, Statistics, make_status
from ldfusion_ros.node.inputs import OVERRIDABLE, Inputs, latched, sensor_data
from ldfusion_ros.node.lifecycle import LABELS, ManagedNode, run
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.frames import BadFrameError, Job, Streams, decoded
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

if TYPE_CHECKING:
    from ldfusion_models.language.text import TextEncoder

CAMERAS = ('visible', 'thermal')
WORDS_SHOWN = 200
# The niceness that gives way to everybody.
TO_EVERYBODY = 19


@dataclass(frozen=True)
class Language:
    """What turns images into text and text into numbers; without captioner, ``problem`` says why."""

    encoder: 'TextEncoder'
    captioner: PairCaptioner | None
    problem: str = ''


@dataclass(frozen=True)
class Task:
    """What the worker is to say: a prompt, or what it sees in a job."""

    prompt: str = ''
    job: Job | None = None


@dataclass(frozen=True)
class Answer:
    """What the worker made of a task, ready to be sent."""

    prompt: str
    text: str
    embedding: Float32MultiArray


def load_language(settings: GuidanceParameters) -> Language:
    """Load encoder and captioner; a captioner that can't be had leaves the prompts.

    Raises:
        InputError: the encoder can't be had.
    """
    try:
        import torch

        from ldfusion_models.language.text import load_text_encoder
    except ModuleNotFoundError as error:
        raise InputError(
            f"guidance needs the Python package {error.name}; pip install 'ldfusion_ros[language]'"
        ) from error
    if settings.threads:
        torch.set_num_threads(settings.threads)
    weights = Path(settings.weights) if settings.weights else None
    encoder = load_text_encoder(settings.text_encoder, weights)
    try:
        return Language(encoder, PairCaptioner.load(settings.captioner, weights))
    except InputError as error:
        return Language(encoder, None, str(error))


def give_way(niceness: int) -> None:
    """Lower the priority of the calling thread.

    A thread of niceness 19 still keeps a processor to the end of its slice, milliseconds for which the many short
    steps of the engine wait. Where the system knows idle threads, it becomes one, which steps aside at once.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    if niceness == TO_EVERYBODY and hasattr(os, 'SCHED_IDLE'):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class GuidanceNode(ManagedNode):
    """Receives and sends in the executor's thread, describes in the worker's, which gives way to all other work.

    Only the latest pair counts, nothing is queued; a prompt replaces the caption until an empty one comes. The worker
    itself sends nothing: an idle thread that had to step aside in the middle of it would hold the lock of the shared
    memory through which fusion_node gets its images.
    """

    def __init__(
        self,
        node_name: str = 'guidance_node',
        load: Callable[[GuidanceParameters], Language] = load_language,
        **kwargs: Any,
    ) -> None:
        """Declare the parameters; nothing is loaded before the node is configured.

        Raises:
            InputError: a parameter that does not exist, or a value that can't be.
        """
        super().__init__(node_name, **kwargs)
        self._load = load
        self._statistics = Statistics()
        self._announcer = Announcer(lambda words: self.get_logger().warning(words))
        self._calibrations = Calibrations(self._announcer)
        self._inputs = Inputs(self)
        self._language: Language | None = None
        self._captions: Publisher[String] | None = None
        self._embeddings: Publisher[Float32MultiArray] | None = None
        self._worker: LatestWorker[Task] | None = None
        self._timer: Timer | None = None
        self._prompt = ''
        self._said = ''
        self._said_s = time.monotonic()
        self._problem = ''
        # One thread puts, another takes: what is newer replaces what was not sent yet.
        self._answers: deque[Answer] = deque(maxlen=1)
        self._answered = self.create_guard_condition(self._on_answer)
        parameters.declare(self, GuidanceParameters)
        self.parameters = parameters.read(self, GuidanceParameters)
        self._streams = Streams(self.parameters)
        self._latest: Job | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_steady_timer(self.parameters.diagnostics_period, self._publish_diagnostics)
        self.add_on_set_parameters_callback(self._change_parameters)
        if self.parameters.autostart:
            self.start_by_itself()

    def set_up(self) -> None:
        """Load the networks and advertise the outputs."""
        self._language = self._load(self.parameters)
        self._captions = self.create_publisher(String, '~/caption', latched(), qos_overriding_options=OVERRIDABLE)
        self._embeddings = self.create_publisher(
            Float32MultiArray, '~/text_embedding', latched(), qos_overriding_options=OVERRIDABLE
        )

    def start(self) -> None:
        """Subscribe and start the worker."""
        assert self._language is not None
        settings = self.parameters
        self._prompt = self._understood(settings.prompt)
        self._streams, self._latest = Streams(settings), None
        self._worker = LatestWorker(self._process, self._on_failure)
        self._inputs.subscribe(String, '~/prompt', self._on_prompt, QoSProfile(depth=1))
        if self._language.captioner:
            for camera, transport in zip(
                CAMERAS, (settings.visible_transport, settings.thermal_transport), strict=True
            ):
                self._inputs.subscribe_image(f'{camera}/image_raw', transport, partial(self._on_image, camera))
                on_info = partial(self._on_camera_info, camera)
                self._inputs.subscribe(CameraInfo, f'{camera}/camera_info', on_info, sensor_data())
        self._timer = self.create_steady_timer(1.0 / settings.rate, self._on_time)
        words = f'active: text encoder {self._language.encoder.name}'
        problem = self._language.problem
        self.get_logger().info(f'{words}; prompts only, no captions: {problem}' if problem else words)

    def stop(self) -> None:
        """Unsubscribe, end the worker, and leave the fusion without text."""
        self._inputs.release()
        if self._timer:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._worker:
            self._worker.stop()
            self._worker = None
            self._answers.clear()
            self._send(self._answer_of(Task(), ''))

    def tear_down(self) -> None:
        """Release the networks and take the topics back."""
        self._language = None
        for publisher in (self._captions, self._embeddings):
            if publisher:
                self.destroy_publisher(publisher)
        self._captions = self._embeddings = None

    def problem(self, words: str) -> None:
        """Remember for the diagnostics why a transition failed."""
        self._problem = words

    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        self._statistics.count(f'{camera} in')
        for job in self._streams.add(camera, message):
            self._latest = job

    def _on_camera_info(self, camera: str, info: CameraInfo) -> None:
        try:
            self._calibrations.take(camera, info)
        except InputError as error:
            self._drop(f'{camera}_camera_info', error)

    def _on_prompt(self, message: String) -> None:
        assert self._worker is not None
        try:
            self._prompt = self._understood(message.data)
        except InputError as error:
            self._drop('prompt', error)
            return
        self._worker.submit(Task(self._prompt))

    def _understood(self, prompt: str) -> str:
        """The prompt without needless blanks; raises InputError if it can't be a prompt."""
        assert self._language is not None
        text = checked_prompt(prompt)
        if text:
            embedding_of_prompt(self._language.encoder, text)
        return text

    def _on_time(self) -> None:
        """Hand the worker what is to be said now; a prompt is said again, so that it does not become stale."""
        assert self._worker is not None
        assert self._language is not None
        if self._prompt:
            self._worker.submit(Task(self._prompt))
        elif self._latest and self._language.captioner:
            self._worker.submit(Task(job=self._latest))
            self._latest = None
        elif self._said and time.monotonic() - self._said_s > self.parameters.stale_after:
            self._worker.submit(Task())

    def _drop(self, cause: str, error: InputError) -> None:
        self._statistics.drop(cause)
        self._announcer.now_and_then(cause, f'dropped: {error}')

    def _process(self, task: Task) -> None:
        """Find words and numbers for what a task asks, in the worker's thread."""
        give_way(self.parameters.niceness)
        try:
            text = task.prompt if task.job is None else self._describe(task.job)
            self._answers.append(self._answer_of(task, text))
        except BadFrameError as error:
            self._drop(f'{error.camera}_bad', error)
            return
        except InputError as error:
            self._drop('refused', error)
            return
        self._answered.trigger()

    def _describe(self, job: Job) -> str:
        assert self._language is not None
        assert self._language.captioner is not None
        visible, thermal = decoded(job)
        with self._statistics.timed('caption'):
            focal, thermal_focal = self._focal('visible', visible), self._focal('thermal', thermal)
            text = self._language.captioner(visible, thermal, focal, thermal_focal).text
        if text:
            self._statistics.count('captions')
            self._announcer.over('no words')
        else:
            self._statistics.drop('empty_caption')
            self._announcer.once('no words', 'the captioner says nothing; fusion goes on without text')
        return text

    def _focal(self, camera: str, image: AnyImage | None) -> float | None:
        """Focal length of a camera in pixels at the image's size; None if unknown."""
        if image is None:
            return None
        height, width = image.shape[:2]
        _, intrinsics = self._calibrations.of(camera, width, height, self.parameters.fallback_field_of_view)
        return intrinsics.fx if intrinsics else None

    def _answer_of(self, task: Task, text: str) -> Answer:
        assert self._language is not None
        encoder = self._language.encoder
        with self._statistics.timed('embedding'):
            embedding = embedding_of(encoder, text)
        if not np.isfinite(embedding).all():
            raise InputError(f'text encoder {encoder.name} makes numbers of {text!r} that are not finite')
        return Answer(task.prompt, text, message_from_embedding(embedding, encoder.name))

    def _on_answer(self) -> None:
        """Send what the worker has found, unless something else matters by now."""
        answer = self._answers.popleft() if self._answers else None
        if answer and answer.prompt == self._prompt:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        """Publish a text, if it is not the last one, and its embedding."""
        assert self._captions is not None
        assert self._embeddings is not None
        if answer.text != self._said:
            self._captions.publish(String(data=answer.text))
        self._embeddings.publish(answer.embedding)
        self._said, self._said_s = answer.text, time.monotonic()

    def _on_failure(self, error: Exception) -> None:
        self._statistics.drop('failure')
        self._announcer.now_and_then('failure', f'caption failed: {type(error).__name__}: {error}')

    def _change_parameters(self, changes: 'Sequence[Parameter[Any]]') -> SetParametersResult:
        result = parameters.check_change(GuidanceParameters, changes, self.is_configured)
        if result.successful:
            known = parameters.meanings(GuidanceParameters)
            self.parameters = replace(self.parameters, **{c.name: c.value for c in changes if c.name in known})
            self._streams.adjust(self.parameters)
        return result

    def _publish_diagnostics(self) -> None:
        report = self._statistics.report()
        name = f'{self.get_fully_qualified_name()}: guidance'
        message = DiagnosticArray(status=[make_status(name, self._findings(report), self._facts(), report)])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _findings(self, report: Report) -> Findings:
        """What is wrong, in the order in which somebody should look at it."""
        findings = Findings()
        if self._problem:
            findings.error(self._problem)
        if report.new_drops.get('failure'):
            findings.error('captions fail; see the log')
        if self.state != State.PRIMARY_STATE_ACTIVE or self._language is None:
            return findings
        if self._language.problem:
            findings.error(f'no captions, prompts only: {self._language.problem}')
        for words in self._inputs.problems():
            findings.warn(words)
        if self._language.captioner and not self._prompt:
            self._assess_captions(findings, report)
        if report.new_drops.get('prompt'):
            findings.warn('a prompt was refused; see the log')
        return findings

    def _assess_captions(self, findings: Findings, report: Report) -> None:
        for camera in CAMERAS:
            if (seconds := self._streams.silence(camera)) > self.parameters.stale_after:
                findings.warn(f'no {camera} image for {seconds:.1f} s')
        bad = {cause: count for cause, count in report.new_drops.items() if cause not in ('failure', 'prompt')}
        for cause, count in sorted(bad.items()):
            findings.warn(f'{count} {cause}')

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {'state': LABELS[self.state]}
        facts['mode'] = 'prompt' if self._prompt else 'caption'
        if self._language:
            facts['text encoder'] = self._language.encoder.name
        facts |= {'text': self._said[:WORDS_SHOWN], 'text age [s]': f'{time.monotonic() - self._said_s:.1f}'}
        return facts


def main() -> int:
    """Run the node."""
    return run(GuidanceNode)


if __name__ == '__main__':
    sys.exit(main())
