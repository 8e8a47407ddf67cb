"""Whether the fusion node does its work, and if not, what somebody should do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ldfusion_models.camera.alignment import Shift
from ldfusion_ros.node.diagnostics import Findings, Report
from ldfusion_ros.parts.fusion_parameters import FusionParameters

# Causes that come with cameras of different rates and say nothing bad.
HARMLESS = ('visible_unpaired', 'thermal_unpaired')


@dataclass(frozen=True)
class Condition:
    """What the node knows of itself at one moment.

    Attributes:
        problem: why the last transition failed; empty if it did not.
        switch_failure: why the last switch of the engine failed; empty if it did not.
        is_active: whether it should be fusing.
        is_wanted: whether anybody listens, or it works for nobody.
        mode: ``normal``, ``visible only``, ``thermal only``, or ``waiting`` before the first frame.
        silence: seconds since each camera's last image.
        since_output: seconds since the last fused frame.
        offset: seconds between the stamps of the two cameras, if known.
        has_calibration: whether the visible camera's geometry is known.
        quality_problems: why a topic stays empty, here or at who subscribes to this node.
        registration_problem: why images are taken as aligned against the parameters.
        shift: how far the thermal image is off, if anybody has looked.
        text_age: seconds since the last text embedding; None without one.
    """

    problem: str
    switch_failure: str
    is_active: bool
    is_wanted: bool
    mode: str
    silence: Mapping[str, float]
    since_output: float
    offset: float | None
    has_calibration: bool
    quality_problems: Sequence[str]
    registration_problem: str
    shift: Shift | None
    text_age: float | None


def assess(condition: Condition, report: Report, parameters: FusionParameters) -> Findings:
    """What is wrong, in the order in which somebody should look at it."""
    findings = Findings()
    if condition.problem:
        findings.error(condition.problem)
    if condition.switch_failure:
        findings.warn(f'engine not switched: {condition.switch_failure}')
    if report.new_drops.get('failure'):
        findings.error('frames fail; see the log')
    if not condition.is_active:
        return findings
    for words in condition.quality_problems:
        findings.warn(words)
    for camera, seconds in condition.silence.items():
        if seconds > parameters.stale_after:
            findings.warn(f'no {camera} image for {seconds:.1f} s')
    if condition.is_wanted and condition.since_output > parameters.stale_after:
        findings.error(f'no fused frame for {condition.since_output:.1f} s{_stamps_apart(condition, parameters)}')
    elif condition.is_wanted and condition.mode.endswith('only'):
        findings.warn(f'degraded: {condition.mode}')
    if condition.mode != 'waiting' and not condition.has_calibration:
        findings.warn('no visible camera_info: depth is not metric, no points')
    if condition.registration_problem:
        findings.warn(f'not registered: {condition.registration_problem}')
    shift = condition.shift
    if shift and shift.is_certain and shift.length > parameters.drift_warning:
        findings.warn(
            f'thermal image is off by {shift.length:.0f} pixels: it belongs {shift.x:.0f} to the right and '
            f'{shift.y:.0f} down; ldfusion calibrate estimates it anew'
        )
    if condition.text_age is not None and 0 < parameters.text_timeout < condition.text_age:
        findings.warn(f'text embedding is {condition.text_age:.1f} s old, so fusing without; is guidance_node alive?')
    _assess_drops(findings, report, parameters)
    latency = report.latencies.get('latency', (0.0, 0.0))[1] / 1e3
    if latency > min(parameters.latency_warning, parameters.latency_error):
        say = findings.error if latency > parameters.latency_error else findings.warn
        say(f'latency {latency:.2f} s (p95)')
    return findings


def _stamps_apart(condition: Condition, parameters: FusionParameters) -> str:
    both_alive = max(condition.silence.values()) < parameters.stale_after
    if not both_alive or condition.offset is None or abs(condition.offset) <= parameters.sync_tolerance:
        return ''
    return f'; stamps are {condition.offset:.3f} s apart, so raise sync_tolerance or set clock_offset'


def _assess_drops(findings: Findings, report: Report, parameters: FusionParameters) -> None:
    bad = {cause: count for cause, count in report.new_drops.items() if cause not in HARMLESS}
    if not bad:
        return
    received = max(report.new_counts.get(f'{camera} in', 0) for camera in ('visible', 'thermal'))
    dropped = sum(bad.values())
    if dropped > min(parameters.drop_warning, parameters.drop_error) * received:
        say = findings.error if received and dropped > parameters.drop_error * received else findings.warn
        say('dropped ' + ', '.join(f'{count} {cause}' for cause, count in sorted(bad.items())))
