"""config/sros2_policy.xml: well-formed as sros2 wants it, and exactly what the programs really open."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import domains
import numpy as np
import pytest
from live import Robot
from paths import ROOT

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_training.recordings.bags import BagWriter

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from rclpy.node import Node
from tiny_language import BrightnessCaptioner, write_encoder

from ldfusion_models.language.guidance import Branch, PairCaptioner
from ldfusion_models.language.text import load_text_encoder
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_ros.guidance_node import GuidanceNode
from ldfusion_ros.parts.language import Language

SETTLED_SECONDS = 1.0
FILE = ROOT / 'config' / 'sros2_policy.xml'
LISTS = {'topics': ('topic', {'publish', 'subscribe'}), 'services': ('service', {'request', 'reply'})}
Permissions = dict[str, set[str]]


def permissions(node: str) -> Permissions:
    """What the policy allows a node: full names by ``publish``, ``subscribe``, ``request`` and ``reply``."""
    (profile,) = (p for p in ElementTree.parse(FILE).iter('profile') if p.get('node') == node)
    allowed: Permissions = {right: set() for _, rights in LISTS.values() for right in rights}
    for group in profile:
        for right, qualifier in group.attrib.items():
            assert qualifier == 'ALLOW'
            allowed[right] |= {full_name(str(item.text), str(profile.get('ns')), node) for item in group}
    return allowed


def full_name(name: str, namespace: str, node: str) -> str:
    """As sros2's permissions.xsl makes them."""
    namespace = namespace.rstrip('/') + '/'
    return {'/': name, '~': f'{namespace}{node}{name[1:]}'}.get(name[0], namespace + name)


def graph(observer: Node, node: str) -> Permissions:
    """What a live node has opened, as another participant sees it."""

    def names(ask: Callable[..., Any]) -> set[str]:
        return {name for name, _ in ask(node, '/')}

    return {
        'publish': names(observer.get_publisher_names_and_types_by_node),
        'subscribe': names(observer.get_subscriber_names_and_types_by_node),
        'reply': names(observer.get_service_names_and_types_by_node),
        'request': names(observer.get_client_names_and_types_by_node),
    }


def test_the_file_keeps_the_rules_of_the_schema() -> None:
    """sros2/policy/schemas/policy.xsd of version 0.2.0, by hand."""
    policy = ElementTree.parse(FILE).getroot()
    assert (policy.tag, policy.attrib) == ('policy', {'version': '0.2.0'})
    (enclaves,) = policy
    assert (enclaves.tag, enclaves.attrib) == ('enclaves', {})
    paths = [enclave.get('path', '') for enclave in enclaves]
    assert len(set(paths)) == len(paths) > 0
    for enclave in enclaves:
        assert (enclave.tag, set(enclave.attrib)) == ('enclave', {'path'})
        (profiles,) = enclave
        assert (profiles.tag, profiles.attrib) == ('profiles', {})
        for profile in profiles:
            assert (profile.tag, set(profile.attrib)) == ('profile', {'ns', 'node'})
            assert enclave.get('path') == f'/ldfusion/{profile.get("node")}'
            for group in profile:
                item, rights = LISTS[group.tag]
                assert set(group.attrib) <= rights
                assert set(group.attrib.values()) <= {'ALLOW', 'DENY'}
                assert len(group) > 0
                for expression in group:
                    assert (expression.tag, expression.attrib, len(expression)) == (item, {}, 0)
                    assert expression.text
                    assert expression.text == expression.text.strip()


@contextmanager
def program(robot: Robot, name: str, *arguments: object) -> Iterator[None]:
    """A program of this package in the robot's domain, until its node is seen."""
    environment = {**os.environ, **domains.ENVIRONMENT, 'ROS_DOMAIN_ID': str(robot.domain)}
    command = [sys.executable, '-m', f'ldfusion_ros.{name}', *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bags') / 'drive'
    with BagWriter(path) as writer:
        for camera, image in (('visible', np.zeros((48, 64, 3), np.uint8)), ('thermal', np.zeros((48, 64), np.uint8))):
            writer.write_image(f'/{camera}/image_raw', 0, camera, image)
            writer.write_camera_info(f'/{camera}/camera_info', 0, camera, Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5))
    return path


@pytest.fixture(scope='module')
def language(tmp_path_factory: pytest.TempPathFactory) -> Language:
    branches = (Branch(DepthEstimator.load(modality), BrightnessCaptioner()) for modality in ('visible', 'thermal'))
    encoder = load_text_encoder(str(write_encoder(tmp_path_factory.mktemp('clip') / 'tiny')))
    return Language(encoder, PairCaptioner(*branches))


def test_the_programs_may_do_what_they_do_and_nothing_else(bag: Path, language: Language, tmp_path: Path) -> None:
    seen: dict[str, Permissions] = {}

    def look(robot: Robot, node: str, is_complete: Callable[[Permissions], bool]) -> None:
        with robot.stranger() as observer:
            robot.wait(lambda: node in observer.get_node_names(), f'{node} in the graph')
            robot.wait(lambda: is_complete(graph(observer, node)), f'all of {node}')
            # Discovery is not atomic: the whole graph is what no longer changes.
            found, unchanged_since = graph(observer, node), time.monotonic()
            while time.monotonic() - unchanged_since < SETTLED_SECONDS:
                time.sleep(0.1)
                if (again := graph(observer, node)) != found:
                    found, unchanged_since = again, time.monotonic()
        known = seen.setdefault(node, {right: set() for right in found})
        for right, names in found.items():
            known[right] |= names

    with Robot({'use_sim_time': True}, name='fusion_node') as robot:
        robot.wait(robot.is_ready, 'node ready', 120)
        look(robot, 'fusion_node', lambda found: '/thermal/image_raw' in found['subscribe'])
        with program(robot, 'record', tmp_path / 'recording'):
            look(robot, 'record', lambda found: len(found['subscribe']) == 6)
        with program(robot, 'replay', bag, '--clock', '--loop'):
            look(robot, 'replay', lambda found: '/clock' in found['publish'])
    with Robot(name='beside') as robot:
        node = GuidanceNode('guidance_node', lambda _: language, context=robot.context, use_global_arguments=False)
        robot.executor.add_node(node)
        look(
            robot, 'guidance_node', lambda found: {'/guidance_node/prompt', '/thermal/image_raw'} <= found['subscribe']
        )
        robot.do(partial(robot.executor.remove_node, node))
        robot.do(node.destroy_node)
    transports = {'visible_transport': 'compressed', 'thermal_transport': 'compressedDepth'}
    with Robot(transports, name='fusion_node', cameras=False) as robot:
        look(robot, 'fusion_node', lambda found: '/thermal/image_raw/compressedDepth' in found['subscribe'])
    # What a recording may hold beside: compressed images, and transforms where tf2_msgs is installed.
    compressed = {
        '/visible/image_raw/compressed',
        '/thermal/image_raw/compressed',
        '/thermal/image_raw/compressedDepth',
    }
    seen['replay']['publish'] |= compressed
    seen['replay']['publish'] |= {'/tf', '/tf_static'}
    # A registration whose extrinsics come from TF listens to it where tf2_ros is installed.
    seen['fusion_node']['subscribe'] |= {'/tf', '/tf_static'}
    # The launch file remaps fusion_node's topic to guidance_node's.
    seen['fusion_node']['subscribe'] |= {'/guidance_node/text_embedding', *compressed}
    # It has the same time and transports as fusion_node.
    seen['guidance_node']['subscribe'] |= {'/clock', *compressed}
    for node, found in seen.items():
        assert permissions(node) == found


def test_the_operator_may_ask_what_the_nodes_answer() -> None:
    allowed = permissions('operator')
    for node in ('fusion_node', 'guidance_node'):
        offered = permissions(node)
        for right, by in (('request', 'reply'), ('subscribe', 'publish')):
            refused = {name for name in offered[by] if not any(fnmatchcase(name, rule) for rule in allowed[right])}
            assert refused == set()
    assert allowed['reply'] == set()
    assert allowed['publish'] == {'/rosout', '/parameter_events', '/guidance_node/prompt'}
