"""The work of the fusion node: receive in the executor's thread, fuse and publish in the worker's; the latest wins."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from ldfusion_models.errors import InputError
from ldfusion_models.paths import named_path
from ldfusion_models.rig.rig import Rig, Shot, thermal_unit
from ldfusion_models.rig.streams import Moment
from ldfusion_ros.messages.decoding import BadFrameError, decode
from ldfusion_ros.node.diagnostics import HARMLESS, Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.cameras import Cameras
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.outputs import OutputFrame, Outputs
from ldfusion_ros.parts.ranges import Ranges
from ldfusion_ros.parts.registration import DriftWatch, Extrinsics
from ldfusion_ros.parts.slow_depth import SlowDepth
from ldfusion_ros.parts.snapshot import save_snapshot
from ldfusion_ros.parts.text import TextInput

if TYPE_CHECKING:
    from rclpy.guard_condition import GuardCondition

FAILURES_BEFORE_RESTART = 3


class Fusing(Part):
    """Takes moments to frames and publishes them.

    Attributes:
        rig, cameras, drift, ranges, slow_depth: the parts that it leads.
    """

    def __init__(
        self, node: ManagedNode[FusionParameters], rig: Rig, outputs: Outputs, text: TextInput, extrinsics: Extrinsics
    ) -> None:
        self._node, self.rig, self._outputs = node, rig, outputs
        self._text, self._extrinsics = text, extrinsics
        self.drift = DriftWatch(node)
        self.ranges = Ranges(node, rig)
        self.slow_depth = SlowDepth(node, rig)
        self.cameras = Cameras(node, self._submit)
        self._worker: LatestWorker[Moment[Image | CompressedImage]] = LatestWorker(self._process, self._on_failure)
        self._restart_soon: GuardCondition = node.create_guard_condition(node.restart)
        self._failures = 0
        self._mode = 'waiting'
        self._last_output_s = time.monotonic()
        self._last: tuple[Shot, OutputFrame] | None = None

    def start(self) -> None:
        """Begin to wait for moments."""
        self._failures, self._mode, self._last_output_s = 0, 'waiting', time.monotonic()
        self._node.statistics.forget_times()
        self._worker.start()

    def stop(self) -> None:
        """Finish the frame in hand and end the thread."""
        self._worker.stop()

    def release(self) -> None:
        """Forget the last frame."""
        self._last = None
        self._node.destroy_guard_condition(self._restart_soon)

    def adjust(self) -> None:
        """Take over what takes effect from the next frame on."""
        self.rig.settings = self._node.parameters

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the images that came last, or that the parameters expect."""
        if self._last:
            return self._last[0].size
        return self._node.parameters.warm_up_width, self._node.parameters.warm_up_height

    def save_snapshot(self, facts: dict[str, object]) -> Path:
        """Write the last frame into the folder of the parameters; returns where it is.

        Raises:
            InputError: there is none yet, or it can't be written.
        """
        if self._last is None:
            raise InputError('no frame has been fused yet')
        folder = named_path(self._node.parameters.snapshot_folder)
        return save_snapshot(folder, *self._last, self._node.parameters, facts)

    def report(self, health: Health) -> None:
        """Frames that fail, do not come, are late or dropped, and what they show."""
        settings = self._node.parameters
        health.facts['mode'] = self._mode
        if self._last and (last := self._last[1].frame).view.counts is not None:
            # A pixel of 64 is enough to tell a range, and costs nothing.
            some = last.thermal_values[::8, ::8]
            if np.isfinite(some).any():
                unit = thermal_unit(last.view, settings)
                health.facts['thermal range'] = f'{np.nanmin(some):.1f} to {np.nanmax(some):.1f} {unit}'
        if health.recent.new_drops.get('failure'):
            health.error('frames fail; see the log')
        if not health.is_active:
            return
        seconds = time.monotonic() - self._last_output_s
        if self._is_wanted() and seconds > settings.stale_after:
            health.error(f'no fused frame for {seconds:.1f} s{self.cameras.stamps_apart()}')
        elif self._is_wanted() and self._mode.endswith('only'):
            health.warn(f'degraded: {self._mode}')
        if self._mode != 'waiting' and not self._has_camera():
            health.warn('no visible camera_info: depth is not metric, no points')
        report_drops(health, settings)
        if self._is_wanted():
            report_latency(health, settings)

    def _has_camera(self) -> bool:
        by_file = self._last is not None and self._last[1].frame.camera is not None
        return by_file or 'visible' in self._node.calibrations.known or self._node.parameters.fallback_field_of_view > 0

    def _is_wanted(self) -> bool:
        return not self._node.parameters.lazy or self._outputs.has_subscribers()

    def _submit(self, moment: Moment[Image | CompressedImage]) -> None:
        self._node.statistics.count('pairs' if moment.mode == 'normal' else moment.mode)
        if not self._is_wanted():
            self._node.statistics.count('not wanted')
        elif self._worker.submit(moment):
            self._node.statistics.drop('overload')

    def _process(self, moment: Moment[Image | CompressedImage]) -> None:
        """Fuse and publish one moment, in the worker's thread."""
        try:
            output = self._fuse(moment)
        except BadFrameError as error:
            self._node.drop(f'{error.camera}_bad', error)
            return
        except InputError as error:
            self._node.drop('refused', error)
            return
        statistics = self._node.statistics
        with statistics.timed('publish'):
            self._outputs.publish(output)
        self._failures = 0
        self._mode = moment.mode
        self._last_output_s = time.monotonic()
        statistics.time('latency', self._last_output_s - moment.complete_s)

    def _fuse(self, moment: Moment[Image | CompressedImage]) -> OutputFrame:
        calibrations = self._node.calibrations
        with self._node.statistics.timed('decode'):
            visible, thermal = decode(moment, self._node.parameters.thermal_encoding)
        infos = calibrations.infos
        measured = [each for each in (self.ranges.of(moment), self.slow_depth.of(moment.stamp_ns)) if each is not None]
        extrinsics, above = self._extrinsics.of(moment), self.ranges.height(moment)
        shot = Shot(visible, thermal, calibrations.known, extrinsics, measured, above)
        frame = self.rig(shot, self._text.embedding())
        self.ranges.tell(frame, self.rig.correction_problem)
        self.slow_depth.offer(frame, moment.stamp_ns)
        for step, seconds in frame.seconds.items():
            self._node.statistics.time(step, seconds)
        self._extrinsics.announce()
        for kind, words in self.rig.thermal_notes.items():
            self._node.announcer.once(f'thermal {kind}', words)
        leading = 'thermal' if visible is None else 'visible'
        if not self.rig.undistorts if frame.calibration is None else leading in shot.calibrations:
            height, width = frame.view.visible.shape[:2]
            calibrations.intrinsics(leading, width, height, self._node.parameters)
        if moment.mode == 'normal':
            self.drift.offer(frame.view)
        info = infos.get(leading) if frame.calibration is not None else None
        output = OutputFrame(moment.leading.header, frame, info)
        self._last = (shot, output)
        return output

    def _on_failure(self, error: Exception) -> None:
        self._node.statistics.drop('failure')
        self._node.announcer.now_and_then('failure', f'frame failed: {type(error).__name__}: {error}')
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_RESTART:
            self._failures = 0
            self._restart_soon.trigger()


def report_drops(health: Health, settings: FusionParameters) -> None:
    """Warn of drops that matter, by the thresholds of the parameters."""
    recent = health.recent
    bad = {cause: count for cause, count in recent.new_drops.items() if cause not in HARMLESS}
    if not bad:
        return
    received = max(recent.new_counts.get(f'{camera} in', 0) for camera in ('visible', 'thermal'))
    dropped = sum(bad.values())
    if dropped > min(settings.drop_warning, settings.drop_error) * received:
        say = health.error if received and dropped > settings.drop_error * received else health.warn
        say('dropped ' + ', '.join(f'{count} {cause}' for cause, count in sorted(bad.items())))


def report_latency(health: Health, settings: FusionParameters) -> None:
    """Warn of frames that come late, by the thresholds of the parameters."""
    latency = health.recent.latencies.get('latency', (0.0, 0.0))[1] / 1e3
    if latency > min(settings.latency_warning, settings.latency_error):
        say = health.error if latency > settings.latency_error else health.warn
        say(f'latency {latency:.2f} s (p95)')
