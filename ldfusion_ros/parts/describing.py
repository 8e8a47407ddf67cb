"""The work of the guidance node: receive and send in the executor's thread, describe in a worker that gives way."""

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32MultiArray, String

from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.thermal_reader import ThermalReader
from ldfusion_models.errors import InputError
from ldfusion_models.language.guidance import Captions, Prompt, embedding_of, embedding_of_captions, read_prompt
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.conversions import message_from_embedding
from ldfusion_ros.messages.decoding import BadFrameError, decode
from ldfusion_ros.node.diagnostics import HARMLESS, Health
from ldfusion_ros.node.inputs import OVERRIDABLE, Inputs, latched
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.programs import steady_timer
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters
from ldfusion_ros.parts.language import Language, give_way

CHARACTERS_SHOWN = 200
# At least how often the last text is sent again, so that fusion_node does not take it for one of a node that is gone.
REPEAT_SECONDS = 2.0
# How long the fusion may take to get the last text.
FAREWELL = Duration(seconds=1)
ImagesMoment: TypeAlias = Moment[Image | CompressedImage]


@dataclass(frozen=True)
class Task:
    """What the worker is to say: a prompt, or what it sees at a moment."""

    prompt: str = ''
    moment: ImagesMoment | None = None


@dataclass(frozen=True)
class Answer:
    """What the worker made of a task, ready to be sent."""

    prompt: str
    text: str
    embedding: Float32MultiArray
    scene: str = ''


class Describing(Part):
    """Says what the cameras see, or what a person asks for; only the latest moment counts, nothing is queued.

    A prompt replaces the caption until an empty one comes. The worker itself sends nothing: an idle thread that had to
    step aside in the middle of it would hold the lock of the shared memory through which fusion_node gets its images.
    """

    def __init__(self, node: ManagedNode[GuidanceParameters], language: Language) -> None:
        self._node, self._language = node, language
        self._captions = node.create_publisher(String, '~/caption', latched(), qos_overriding_options=OVERRIDABLE)
        self._scenes = node.create_publisher(String, '~/scene', latched(), qos_overriding_options=OVERRIDABLE)
        self._embeddings = node.create_publisher(
            Float32MultiArray, '~/text_embedding', latched(), qos_overriding_options=OVERRIDABLE
        )
        # One thread puts, another takes: what is newer replaces what was not sent yet.
        self._answers: deque[Answer] = deque(maxlen=1)
        self._answered = node.create_guard_condition(self._on_answer)
        self._worker: LatestWorker[Task] = LatestWorker(self._process, self._on_failure)
        self._inputs = Inputs(node)
        self._read_thermal = ThermalReader()
        self._timers: list[Timer] = []
        self._latest: ImagesMoment | None = None
        self._prompt = Prompt('')
        self._is_sending = False
        # None after a failure: then the text is left to become stale.
        self._sent: Answer | None = None
        self._said = ''
        self._said_s = time.monotonic()

    def start(self) -> None:
        """Wait for prompts and moments."""
        settings = self._node.parameters
        self._understand(settings.prompt)
        self._latest = None
        self._worker.start()
        self._is_sending = True
        self._inputs.subscribe(String, '~/prompt', self._on_prompt, QoSProfile(depth=1))
        period = 1.0 / settings.rate
        for seconds, work in ((period, self._on_time), (min(period, REPEAT_SECONDS), self._repeat)):
            self._timers.append(steady_timer(self._node, seconds, work))
        self._repeat()
        text = f'active: text encoder {self._language.encoder.name}'
        problem = self._language.problem
        self._node.get_logger().info(f'{text}; prompts only, no captions: {problem}' if problem else text)

    def stop(self) -> None:
        """End the worker, and leave the fusion without text."""
        self._inputs.release()
        while self._timers:
            self._node.destroy_timer(self._timers.pop())
        self._worker.stop()
        self._answers.clear()
        if self._is_sending:
            self._send(self._answer(Task()))
            # A process that ends at once would take its last message along.
            self._embeddings.wait_for_all_acked(FAREWELL)
            self._is_sending, self._sent = False, None

    def release(self) -> None:
        """Take the topics back."""
        self._node.destroy_guard_condition(self._answered)
        for publisher in (self._captions, self._scenes, self._embeddings):
            self._node.destroy_publisher(publisher)

    def offer(self, moment: ImagesMoment) -> None:
        """What may be described next."""
        self._latest = moment

    def report(self, health: Health) -> None:
        """Captions that fail or can't be had, and what is said."""
        health.facts['mode'] = 'prompt' if self._prompt.text else 'caption'
        health.facts['text encoder'] = self._language.encoder.name
        health.facts['text'] = self._said[:CHARACTERS_SHOWN]
        health.facts['text age [s]'] = f'{time.monotonic() - self._said_s:.1f}'
        drops = health.recent.new_drops
        if drops.get('failure'):
            health.error('captions fail; see the log')
        if not health.is_active:
            return
        if self._language.problem:
            health.error(f'no captions, prompts only: {self._language.problem}')
        for problem in self._inputs.problems():
            health.warn(problem)
        if self._language.captioner and not self._prompt.text:
            for cause, count in sorted(drops.items()):
                if cause not in ('failure', *HARMLESS):
                    health.warn(f'{count} {cause}')
        for words in self._prompt.ignored:
            health.warn(f'prompt: {words}')

    def _on_prompt(self, message: String) -> None:
        self._understand(message.data)
        self._worker.submit(Task(self._prompt.text))

    def _understand(self, prompt: str) -> None:
        """Take a prompt over, and say once what of it has no effect."""
        last, self._prompt = self._prompt, read_prompt(prompt, self._language.encoder)
        if self._prompt != last:
            self._node.announcer.end('prompt')
        if self._prompt.ignored:
            self._node.announcer.once('prompt', f'prompt: {"; ".join(self._prompt.ignored)}')

    def _on_time(self) -> None:
        """Hand the worker what is to be described now."""
        if self._prompt.text:
            return
        if self._latest and self._language.captioner:
            self._worker.submit(Task(moment=self._latest))
            self._latest = None
        elif self._said and time.monotonic() - self._said_s > self._node.parameters.stale_after:
            self._worker.submit(Task())

    def _repeat(self) -> None:
        """Say the last text again, so that it does not become stale while the next one takes its time."""
        if (sent := self._sent) is not None and sent.prompt == self._prompt.text:
            self._embeddings.publish(sent.embedding)
        elif self._prompt.text:
            self._worker.submit(Task(self._prompt.text))

    def _process(self, task: Task) -> None:
        """Find text and numbers for what a task asks, in the worker's thread."""
        give_way(self._node.parameters.niceness)
        try:
            captions = None if task.moment is None else self.describe(task.moment)
            scene = scene_json(captions, task.moment.leading.header.stamp) if captions and task.moment else ''
            self._answers.append(self._answer(task, captions, scene))
        except InputError as error:
            self._sent = None
            self._node.drop(f'{error.camera}_bad' if isinstance(error, BadFrameError) else 'refused', error)
            return
        self._answered.trigger()

    def describe(self, moment: ImagesMoment) -> Captions | None:
        """What both cameras see; None without captioner."""
        if self._language.captioner is None:
            return None
        settings = self._node.parameters
        visible, thermal = decode(moment, settings.thermal_encoding)
        thermal = None if thermal is None else self._read_thermal(thermal, settings.thermal_form())
        with self._node.statistics.timed('caption'):
            focal, thermal_focal = self._focal('visible', visible), self._focal('thermal', thermal)
            captions = self._language.captioner(visible, thermal, focal, thermal_focal)
        if captions.text:
            self._node.statistics.count('captions')
            self._node.announcer.end('no text')
        else:
            self._node.statistics.drop('empty_caption')
            self._node.announcer.once('no text', 'the captioner says nothing; fusion goes on without text')
        return captions

    def _focal(self, camera: str, image: AnyImage | None) -> float | None:
        """Focal length of a camera in pixels at the image's size; None if unknown."""
        if image is None:
            return None
        height, width = image.shape[:2]
        intrinsics = self._node.calibrations.intrinsics(camera, width, height, self._node.parameters)
        return intrinsics.fx if intrinsics else None

    def _answer(self, task: Task, captions: Captions | None = None, scene: str = '') -> Answer:
        encoder, text = self._language.encoder, captions.text if captions else task.prompt
        with self._node.statistics.timed('embedding'):
            embedding = embedding_of_captions(encoder, captions) if captions else embedding_of(encoder, text)
        if not np.isfinite(embedding).all():
            raise InputError(f'text encoder {encoder.name} makes numbers of {text!r} that are not finite')
        return Answer(task.prompt, text, message_from_embedding(embedding, encoder.name), scene)

    def _on_answer(self) -> None:
        """Send what the worker has found, unless something else matters by now."""
        answer = self._answers.popleft() if self._answers else None
        if answer and answer.prompt == self._prompt.text:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        """Publish a text, if it is not the last one, and its embedding."""
        if answer.text != self._said:
            self._captions.publish(String(data=answer.text))
        if answer.scene:
            self._scenes.publish(String(data=answer.scene))
        self._embeddings.publish(answer.embedding)
        self._sent, self._said, self._said_s = answer, answer.text, time.monotonic()

    def _on_failure(self, error: Exception) -> None:
        self._sent = None
        self._node.statistics.drop('failure')
        self._node.announcer.now_and_then('failure', f'caption failed: {type(error).__name__}: {error}')


def scene_json(captions: Captions, stamp: Time) -> str:
    """What goes out on ``~/scene``; docs/node.md describes it."""
    return json.dumps({'stamp': {'sec': stamp.sec, 'nanosec': stamp.nanosec}, **captions.as_json()})
