"""guidance_node over real DDS beside a real fusion_node: what is said, what is applied, and what goes wrong."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import HEIGHT, WIDTH, Array, Robot, run_guidance

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from std_msgs.msg import Float32MultiArray, String
from tiny_language import BrightnessCaptioner, write_encoder, write_weights

from ldfusion_models.language.guidance import CAPTION_STRENGTH, Branch, PairCaptioner
from ldfusion_models.language.text import load_text_encoder
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_ros.guidance_node import GuidanceNode
from ldfusion_ros.messages.conversions import image_from_message
from ldfusion_ros.parts.describing import Describing
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters
from ldfusion_ros.parts.language import Language, load_language


@pytest.fixture(scope='module')
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp('clip') / 'tiny')


@pytest.fixture(scope='module')
def language(encoder_folder: Path) -> Language:
    branches = (Branch(DepthEstimator.load(modality), BrightnessCaptioner()) for modality in ('visible', 'thermal'))
    return Language(load_text_encoder(str(encoder_folder)), PairCaptioner(*branches))


@pytest.fixture(scope='module')
def weights(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp('weights') / 'w', language.encoder.name)


def flat(level: int) -> tuple[Array, Array]:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8), np.full((HEIGHT, WIDTH), level + 1 if level else 0, np.uint8)


class Guided:
    """A robot whose fusion node has guidance: captions and prompts of a node beside it."""

    def __init__(self, fusion_weights: Path, language: Language | None = None, **values: Any) -> None:
        self.robot = Robot({'weights': str(fusion_weights), 'engine': 'onnxruntime', 'text_timeout': 1.5})
        self.status = DiagnosticStatus()
        self.captions: list[str] = []
        self.scenes: list[dict[str, Any]] = []
        self.embeddings: list[Float32MultiArray] = []
        other = self.robot.other
        other.create_subscription(String, '/guidance/caption', lambda m: self.captions.append(m.data), Robot.latched())
        other.create_subscription(
            String, '/guidance/scene', lambda m: self.scenes.append(json.loads(m.data)), Robot.latched()
        )
        other.create_subscription(Float32MultiArray, '/fusion/text_embedding', self.embeddings.append, Robot.latched())
        other.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.prompts = other.create_publisher(String, '/guidance/prompt', 1)
        self.lifecycle = other.create_client(ChangeState, '/guidance/change_state')
        settings = {'rate': 10.0, 'diagnostics_period': 0.2, 'stale_after': 1.0, **values}
        self.node = GuidanceNode(
            'guidance',
            **({'load': lambda _: language} if language else {}),
            context=self.robot.context,
            use_global_arguments=False,
            cli_args=['--ros-args', '-r', '~/text_embedding:=/fusion/text_embedding'],
            parameter_overrides=[Parameter(key, value=value) for key, value in settings.items()],
        )
        self.robot.executor.add_node(self.node)

    @property
    def caption(self) -> str:
        """The last one; empty before the first."""
        return self.captions[-1] if self.captions else ''

    def is_ready(self) -> bool:
        """Whether both nodes are active and all that the tests send and receive has found its other end."""
        robot = self.robot
        images = [each for name, each in robot.publishers.items() if name.endswith('/image_raw')]
        return bool(
            robot.is_ready()
            and self.told().get('state') == 'active'
            and self.prompts.get_subscription_count()
            and all(publisher.get_subscription_count() > 1 for publisher in images)
            and all(robot.hears(each) for each in self.node.subscriptions if each.topic_name.endswith('/image_raw'))
        )

    def told(self) -> dict[str, str]:
        values = {item.key: item.value for item in self.status.values}
        return values | {'level': str(ord(self.status.level)), 'message': self.status.message}

    def prompt(self, text: str) -> None:
        self.prompts.publish(String(data=text))

    def wait(self, condition: Any, what: str) -> None:
        self.robot.wait(condition, f'{what} ({self.told()})')

    def show(self, level: int, condition: Callable[[], object], what: str) -> None:
        """Show a flat pair until something holds: a single one may be lost, or not be the latest in time."""

        def shown() -> object:
            self.robot.send_pair(*flat(level))
            end = time.monotonic() + 0.5
            while not condition() and time.monotonic() < end:
                time.sleep(0.01)
            return condition()

        self.wait(shown, what)

    def change_state(self, transition: int) -> None:
        """Ask for a transition as a lifecycle manager does."""
        request = ChangeState.Request()
        request.transition.id = transition
        future = self.lifecycle.call_async(request)
        self.wait(future.done, 'transition')
        assert future.result().success

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith('/guidance'):
                self.status = status

    def close(self) -> None:
        self.robot.do(partial(self.robot.executor.remove_node, self.node))
        self.robot.do(self.node.destroy_node)
        self.robot.close()


@pytest.fixture(scope='module')
def guided(language: Language, weights: Path) -> Iterator[Guided]:
    guided = Guided(weights, language)
    guided.wait(guided.is_ready, 'nodes ready')
    yield guided
    guided.close()


def values_of(message: Float32MultiArray) -> Array:
    return np.array(message.data, np.float32)


def test_a_pair_is_described_and_the_text_changes_the_fusion(guided: Guided, language: Language) -> None:
    robot = guided.robot
    plain = image_from_message(robot.fuse_good_pair())
    guided.show(70, lambda: guided.caption == 'grey of 70. grey of 71.', 'caption')
    guided.show(70, lambda: robot.told().get('text') == 'applied', 'text in the fusion')
    # Both cameras tell of a person.
    expected = CAPTION_STRENGTH * language.encoder.encode_named(['people'])[0]
    # Where the machine is slow the text may have become stale by now, and the last embedding is of no text.
    spoken = [each for each in guided.embeddings if values_of(each).any()]
    assert {each.layout.dim[0].label for each in spoken} == {language.encoder.name}
    assert any(np.allclose(values_of(each), expected) for each in spoken)
    guided.prompt('people')
    guided.wait(lambda: not np.array_equal(image_from_message(robot.fuse_good_pair()), plain), 'an effect of text')
    guided.prompt('')


def test_the_facts_of_a_pair_go_out_as_fields_under_its_stamp(guided: Guided) -> None:
    def scenes() -> list[dict[str, Any]]:
        return [
            each for each in guided.scenes if each['thermal'] and each['thermal']['objects'][0]['distance_m'] == 8.1
        ]

    guided.show(80, scenes, 'scene of the pair')
    scene = scenes()[-1]
    stamp_ns = scene['stamp']['sec'] * 1_000_000_000 + scene['stamp']['nanosec']
    assert 0 < stamp_ns <= guided.robot.stamp_ns
    assert scene['version'] == 1
    told = scene['visible']
    assert (told['place'], told['light'], told['weather']) == ('street', 'night', None)
    person = {'class': 'person', 'side': 'left', 'distance_m': 8.0, 'warm': False, 'score': 0.9}
    assert told['objects'] == [{**person, 'box': [0.1, 0.2, 0.3, 0.4]}]


def test_a_prompt_replaces_the_caption_until_an_empty_one_comes(guided: Guided, language: Language) -> None:
    guided.prompt('  people\n on the left ')
    guided.wait(lambda: guided.caption == 'people on the left', 'prompt as text')
    said = len(guided.embeddings)
    guided.robot.send_pair(*flat(90))
    guided.wait(lambda: len(guided.embeddings) > said + 3, 'the prompt again and again')
    assert guided.caption == 'people on the left'
    assert np.array_equal(values_of(guided.embeddings[-1]), language.encoder.encode(['people on the left'])[0])
    guided.prompt('')
    guided.show(91, lambda: guided.caption == 'grey of 91. grey of 92.', 'caption after the prompt')


def test_nothing_is_sent_by_the_idle_thread(guided: Guided, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the lock of fusion_node's shared memory while it steps aside."""
    senders, describers = set(), set()
    describing = guided.node.parts[0]
    assert isinstance(describing, Describing)
    embeddings = describing._embeddings
    publish, describe = embeddings.publish, describing.describe

    def published(message: Float32MultiArray) -> None:
        senders.add(threading.get_native_id())
        publish(message)

    def described(job: Any) -> str:
        describers.add(threading.get_native_id())
        return describe(job)

    monkeypatch.setattr(embeddings, 'publish', published)
    monkeypatch.setattr(describing, 'describe', described)
    said = len(guided.embeddings)
    guided.show(110, lambda: len(guided.embeddings) > said and describers, 'a caption')
    assert senders.isdisjoint(describers)


@pytest.mark.parametrize(
    ('prompt', 'text', 'said'),
    [
        ('people ' * 1500, ('people ' * 43).strip(), 'cut after 300 of 10500'),
        ('\x1b[2Jpeople \n<b>', '[2Jpeople <b>', ''),
        ('люди за дымом', 'люди за дымом', ''),
    ],
)
def test_a_strange_prompt_is_text_and_diagnostics_say_what_has_no_effect(
    guided: Guided, prompt: str, text: str, said: str
) -> None:
    guided.prompt(prompt)
    guided.wait(lambda: guided.caption == text, 'the prompt as text')
    guided.wait(lambda: guided.told()['mode'] == 'prompt' and said in guided.told()['message'], 'words in diagnostics')
    guided.prompt('')
    guided.wait(lambda: guided.told()['mode'] == 'caption' and 'prompt:' not in guided.told()['message'], 'captions')


def test_a_captioner_that_says_nothing_leaves_the_fusion_without_text(guided: Guided) -> None:
    guided.show(0, lambda: int(guided.told().get('dropped empty_caption', 0)) > 0, 'words in diagnostics')
    guided.wait(lambda: guided.robot.told()['text'] == 'none', 'no text in the fusion')
    guided.robot.fuse_good_pair()


def test_a_captioner_that_fails_stops_nothing(guided: Guided) -> None:
    guided.show(13, lambda: int(guided.told().get('dropped failure', 0)) > 0, 'failure in diagnostics')
    guided.show(40, lambda: guided.caption == 'grey of 40. grey of 41.', 'next caption')


def test_only_the_latest_pair_is_described(guided: Guided) -> None:
    for level in range(100, 160):
        guided.robot.send_pair(*flat(level))
    guided.show(160, lambda: guided.caption == 'grey of 160. grey of 161.', 'caption of the last pair')
    described = [text for text in guided.captions if any(f'grey of {level}.' in text for level in range(100, 160))]
    assert len(described) < 50, 'pairs that came while one was described are left out'


def test_cameras_of_different_rates_are_no_problem(guided: Guided) -> None:
    robot, before = guided.robot, int(guided.told().get('dropped visible_unpaired', 0))

    def one_more() -> bool:
        robot.stamp_ns += 50_000_000
        robot.send('visible', flat(30)[0], robot.stamp_ns)
        robot.send_pair(*flat(30))
        time.sleep(0.05)
        return int(guided.told().get('dropped visible_unpaired', 0)) > before

    guided.wait(one_more, 'an image without partner')
    assert 'unpaired' not in guided.told()['message']


def test_without_images_the_text_is_taken_back(guided: Guided) -> None:
    guided.show(50, lambda: guided.robot.told()['text'] == 'applied', 'text applied')
    guided.wait(lambda: guided.robot.told()['text'] == 'none', 'text taken back')
    guided.wait(lambda: 'no visible image' in guided.told()['message'], 'words in diagnostics')


def test_one_camera_alone_is_described(guided: Guided) -> None:
    robot = guided.robot

    def send_visible() -> bool:
        robot.stamp_ns += 100_000_000
        robot.send('visible', flat(200)[0], robot.stamp_ns)
        time.sleep(0.1)
        return guided.caption == 'grey of 200.'

    with_pause = Parameter('degraded_after', value=0.5)
    assert guided.node.set_parameters([with_pause])[0].successful
    guided.wait(send_visible, 'caption of the visible image alone')


def test_a_deactivated_node_takes_its_text_back_and_says_it_again(guided: Guided) -> None:
    guided.prompt('people')
    guided.wait(lambda: guided.robot.told()['text'] == 'applied', 'text applied')
    guided.change_state(Transition.TRANSITION_DEACTIVATE)
    guided.wait(lambda: guided.robot.told()['text'] == 'none', 'text taken back')
    guided.change_state(Transition.TRANSITION_ACTIVATE)
    guided.show(60, lambda: guided.caption == 'grey of 60. grey of 61.', 'captions again')


def test_without_captioner_prompts_work(weights: Path, encoder_folder: Path, tmp_path: Path) -> None:
    """Missing weights: load_language as the node calls it, with a folder that holds none."""
    settings = GuidanceParameters(text_encoder=str(encoder_folder), weights=str(tmp_path / 'absent'))
    assert 'absent' in load_language(settings).problem
    guided = Guided(
        weights, text_encoder=str(encoder_folder), weights=str(tmp_path / 'absent'), prompt='people', rate=0.01
    )
    try:
        guided.wait(lambda: 'absent' in guided.told()['message'], 'reason in diagnostics')
        assert guided.told()['level'] == '2'
        guided.wait(lambda: guided.robot.told().get('text') == 'applied', 'prompt applied')
        guided.robot.wait(lambda: len(guided.embeddings) > 1, 'the prompt again, whatever the rate of captions', 60)
    finally:
        guided.close()


def test_a_killed_guidance_is_noticed_and_a_new_one_taken() -> None:
    settings = ('-p', 'prompt:=people')
    with Robot({'engine': 'onnxruntime', 'text_timeout': 2.0}) as robot:
        guidance = run_guidance(robot.domain, *settings)
        robot.wait(lambda: robot.told().get('text') == 'applied', 'text of the first process')
        guidance.send_signal(signal.SIGKILL)
        guidance.wait()
        robot.wait(lambda: robot.told()['text'] == 'expired', 'text expired')
        robot.wait(lambda: 'is guidance_node alive?' in robot.told()['message'], 'words in diagnostics')
        robot.fuse_good_pair()
        guidance = run_guidance(robot.domain, *settings)
        robot.wait(lambda: robot.told()['text'] == 'applied', 'text of the second process')
        guidance.send_signal(signal.SIGINT)
        # It gives way to all else, in its last work too.
        output, _ = guidance.communicate(timeout=180)
        assert guidance.returncode == 0, output
        robot.wait(lambda: robot.told()['text'] == 'none', 'text taken back')


def test_an_encoder_that_is_not_there_leaves_the_node_unconfigured_with_a_reason(weights: Path) -> None:
    guided = Guided(weights, text_encoder='no such encoder')
    try:
        guided.wait(lambda: 'no such encoder' in guided.told()['message'], 'reason in diagnostics')
        assert guided.told()['state'] == 'unconfigured'
        guided.robot.fuse_good_pair()
    finally:
        guided.close()
