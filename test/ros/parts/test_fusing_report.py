"""What the diagnostics say of drops and latency: level and text, by thresholds that a person sets."""

from dataclasses import replace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from diagnostic_msgs.msg import DiagnosticStatus

from ldfusion_ros.node.diagnostics import NOTHING_YET, Health, Report
from ldfusion_ros.parts.fusing import report_drops, report_latency
from ldfusion_ros.parts.fusion_parameters import FusionParameters

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
QUIET = replace(NOTHING_YET, new_counts={'visible in': 100})
LIMITS = FusionParameters(latency_warning=0.2, latency_error=0.4, drop_warning=0.1, drop_error=0.5)


def health_of(recent: Report, limits: FusionParameters = LIMITS) -> Health:
    health = Health(recent, is_active=True)
    report_drops(health, limits)
    report_latency(health, limits)
    return health


def test_a_node_that_works_is_ok() -> None:
    assert (health_of(QUIET).level, health_of(QUIET).problems) == (OK, [])
    assert health_of(QUIET).as_status('a').message == 'running'


@pytest.mark.parametrize(('milliseconds', 'level'), [(150, OK), (250, WARN), (450, ERROR)])
def test_latency_has_two_thresholds(milliseconds: float, level: bytes) -> None:
    recent = replace(QUIET, latencies={'latency': (100.0, milliseconds)})
    assert health_of(recent).level == level
    assert health_of(recent, replace(LIMITS, latency_warning=0.0, latency_error=60.0)).level == WARN


@pytest.mark.parametrize(('dropped', 'level'), [(10, OK), (11, WARN), (51, ERROR)])
def test_drops_have_two_thresholds_and_are_named(dropped: int, level: bytes) -> None:
    recent = replace(QUIET, new_drops={'overload': dropped - 1, 'thermal_bad': 1, 'visible_unpaired': 1000})
    health = health_of(recent)
    assert health.level == level
    assert health.problems == ([] if level == OK else [f'dropped {dropped - 1} overload, 1 thermal_bad'])


def test_without_images_a_drop_is_a_warning() -> None:
    assert health_of(replace(QUIET, new_counts={}, new_drops={'text_embedding': 1})).level == WARN
    assert health_of(replace(QUIET, new_counts={'thermal in': 100}, new_drops={'overload': 5})).level == OK


def test_words_of_others_are_plain_in_diagnostics() -> None:
    """Types and names of publishers, and captions, come from whoever is in the graph."""
    health = Health(NOTHING_YET, is_active=True)
    health.warn('/visible: publisher \x1b[2Jevil\n[INFO] all is well')
    health.facts['text'] = 'a street\x1b]0;owned\x07'
    status = health.as_status('node')
    assert status.message == '/visible: publisher \\x1b[2Jevil [INFO] all is well'
    assert status.values[0].value == 'a street\\x1b]0;owned\\x07'
