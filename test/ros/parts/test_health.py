"""What the diagnostics say of a condition: level and words, by thresholds that a person sets."""

from dataclasses import replace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
from diagnostic_msgs.msg import DiagnosticStatus

from ldfusion_ros.node.diagnostics import Report
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.health import Condition, assess

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
GOOD = Condition(
    problem='',
    switch_failure='',
    is_active=True,
    is_wanted=True,
    mode='normal',
    silence={'visible': 0.1, 'thermal': 0.1},
    since_output=0.1,
    offset=0.001,
    has_calibration=True,
    quality_problems=(),
    registration_problem='',
    shift=None,
    text_age=None,
)
QUIET = Report(rates={}, counts={}, new_counts={'visible in': 100}, drops={}, new_drops={}, latencies={})
LIMITS = FusionParameters(
    latency_warning=0.2, latency_error=0.4, drop_warning=0.1, drop_error=0.5, stale_after=1.0, sync_tolerance=0.02
)


def test_a_node_that_works_is_ok() -> None:
    findings = assess(GOOD, QUIET, LIMITS)
    assert (findings.level, findings.words) == (OK, [])


@pytest.mark.parametrize(('milliseconds', 'level'), [(150, OK), (250, WARN), (450, ERROR)])
def test_latency_has_two_thresholds(milliseconds: float, level: bytes) -> None:
    report = replace(QUIET, latencies={'latency': (100.0, milliseconds)})
    assert assess(GOOD, report, LIMITS).level == level
    assert assess(GOOD, report, replace(LIMITS, latency_warning=0.0, latency_error=60.0)).level == WARN


@pytest.mark.parametrize(('dropped', 'level'), [(10, OK), (11, WARN), (51, ERROR)])
def test_drops_have_two_thresholds_and_are_named(dropped: int, level: bytes) -> None:
    report = replace(QUIET, new_drops={'overload': dropped - 1, 'thermal_bad': 1, 'visible_unpaired': 1000})
    findings = assess(GOOD, report, LIMITS)
    assert findings.level == level
    assert findings.words == ([] if level == OK else [f'dropped {dropped - 1} overload, 1 thermal_bad'])


def test_without_images_a_drop_is_a_warning() -> None:
    report = replace(QUIET, new_counts={}, new_drops={'text_embedding': 1})
    assert assess(GOOD, report, LIMITS).level == WARN
    alone = replace(QUIET, new_counts={'thermal in': 100}, new_drops={'overload': 5})
    assert assess(GOOD, alone, LIMITS).level == OK


CASES = {
    'transition': ({'problem': 'cannot configure: no weights'}, ERROR, 'cannot configure: no weights'),
    'switch': ({'switch_failure': 'no weights'}, WARN, 'engine not switched: no weights'),
    'one camera': ({'silence': {'visible': 0.1, 'thermal': 1.5}}, WARN, 'no thermal image for 1.5 s'),
    'degraded': ({'mode': 'visible only'}, WARN, 'degraded: visible only'),
    'no output': ({'since_output': 3.0}, ERROR, 'no fused frame for 3.0 s'),
    'stamps': (
        {'since_output': 3.0, 'offset': -0.5},
        ERROR,
        'no fused frame for 3.0 s; stamps are -0.500 s apart, so raise sync_tolerance or set clock_offset',
    ),
    'calibration': ({'has_calibration': False}, WARN, 'no visible camera_info: depth is not metric, no points'),
    'registration': ({'registration_problem': 'no TF'}, WARN, 'not registered: no TF'),
    'text': (
        {'text_age': 100.0},
        WARN,
        'text embedding is 100.0 s old, so fusing without; is guidance_node alive?',
    ),
    'quality': ({'quality_problems': ['/a: publisher b is best effort']}, WARN, '/a: publisher b is best effort'),
}


@pytest.mark.parametrize('case', CASES)
def test_what_is_wrong_is_said(case: str) -> None:
    change, level, words = CASES[case]
    findings = assess(replace(GOOD, **change), QUIET, LIMITS)
    assert (findings.level, findings.words) == (level, [words])


def test_an_inactive_node_misses_nothing() -> None:
    idle = replace(GOOD, is_active=False, since_output=100.0, silence={'visible': 100.0, 'thermal': 100.0})
    assert assess(idle, QUIET, LIMITS).level == OK


def test_frames_that_nobody_wants_are_not_missed() -> None:
    assert assess(replace(GOOD, is_wanted=False, since_output=100.0), QUIET, LIMITS).level == OK


@pytest.mark.parametrize(('age', 'warns'), [(None, False), (9.0, False), (11.0, True)])
def test_a_text_that_nobody_repeats_is_told(age: float | None, warns: bool) -> None:
    findings = assess(replace(GOOD, text_age=age), QUIET, LIMITS)
    assert any('guidance_node' in words for words in findings.words) == warns
