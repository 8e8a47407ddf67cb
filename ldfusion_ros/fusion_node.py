"""The node that fuses every pair of visible and thermal images into a colour image, depth and a point cloud."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float32MultiArray
from std_srvs.srv import Trigger

from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.engines.selection import obstacle_to
from ldfusion_models.errors import InputError
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_ros.messages.calibrations import Calibrations
from ldfusion_ros.messages.conversions import embedding_from_message
from ldfusion_ros.node import parameters
from ldfusion_ros.node.diagnostics import Announcer, Statistics, make_status
from ldfusion_ros.node.inputs import Inputs, latched, sensor_data
from ldfusion_ros.node.lifecycle import LABELS, ManagedNode, run
from ldfusion_ros.node.worker import LatestWorker
from ldfusion_ros.parts.engine_switch import EngineSwitch, load_pipeline
from ldfusion_ros.parts.frames import BadFrameError, Decoder, InputImages, Job, Streams, heat_of, heat_unit
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.health import Condition, assess
from ldfusion_ros.parts.outputs import OutputFrame, Outputs
from ldfusion_ros.parts.registering import DriftWatch, Registering
from ldfusion_ros.parts.snapshot import save_snapshot

CAMERAS = ('visible', 'thermal')
FAILURES_BEFORE_RESTART = 3


@dataclass(frozen=True)
class Text:
    """A text embedding (D,) and when it came, in seconds of the monotonic clock."""

    embedding: npt.NDArray[np.float32]
    arrived_s: float


class FusionNode(ManagedNode):
    """Receives in the executor's thread, fuses and publishes in the worker's; the latest pair wins."""

    def __init__(self, node_name: str = 'fusion_node', **kwargs: Any) -> None:
        """Declare the parameters; nothing is loaded before the node is configured.

        Raises:
            InputError: a parameter that does not exist, or a value that can't be.
        """
        super().__init__(node_name, **kwargs)
        self._statistics = Statistics()
        self._announcer = Announcer(lambda words: self.get_logger().warning(words))
        self._calibrations = Calibrations(self._announcer)
        self._inputs = Inputs(self)
        self._switch = EngineSwitch(self.create_guard_condition(self._take_over_engine).trigger)
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Job] | None = None
        self._registering: Registering | None = None
        self._drift: DriftWatch | None = None
        self._text: Text | None = None
        self._problem = ''
        self._failures = 0
        self._last_frame: tuple[InputImages, OutputFrame] | None = None
        self._given_qualities = parameters.declare(self, FusionParameters)
        self.parameters = parameters.read(self, FusionParameters)
        self._forget_streams()
        self._restart_soon = self.create_guard_condition(self.restart)
        self.create_service(Trigger, '~/save_snapshot', self._on_save_snapshot)
        self.create_service(Trigger, '~/switch_engine', self._on_switch_engine)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_steady_timer(self.parameters.diagnostics_period, self._publish_diagnostics)
        self.add_on_set_parameters_callback(self._change_parameters)
        if self.parameters.autostart:
            self.start_by_itself()

    def set_up(self) -> None:
        """Load the networks, run them once, and advertise the outputs."""
        settings = self.parameters
        self._gain = GainControl(settings.gain())
        self._pipeline = load_pipeline(settings, self._gain, (settings.warm_up_width, settings.warm_up_height))
        self._decode = Decoder(self._gain)
        self._registering = Registering(self, self._calibrations, self._announcer, settings)
        self._outputs = Outputs(self, self._statistics)

    def start(self) -> None:
        """Subscribe and start the worker."""
        self._forget_streams()
        self._drift = DriftWatch(self.parameters.drift_period, self._on_failed_look)
        self._worker = LatestWorker(self._process, self._on_failure)
        transports = (self.parameters.visible_transport, self.parameters.thermal_transport)
        for camera, transport in zip(CAMERAS, transports, strict=True):
            self._inputs.subscribe_image(f'{camera}/image_raw', transport, partial(self._on_image, camera))
            on_info = partial(self._on_camera_info, camera)
            self._inputs.subscribe(CameraInfo, f'{camera}/camera_info', on_info, sensor_data())
        self._inputs.subscribe(Float32MultiArray, '~/text_embedding', self._on_text, latched())
        self.get_logger().info(f'active: {self._engine_in_words()}')

    def stop(self) -> None:
        """Unsubscribe, finish the frame in hand and end the worker."""
        self._inputs.release()
        if self._worker:
            self._worker.stop()
            self._worker = None
        if self._drift:
            self._drift.stop()
            self._drift = None

    def tear_down(self) -> None:
        """Release the networks and take the topics back."""
        self._switch.cancel()
        self._pipeline = None
        self._text = None
        self._last_frame = None
        if self._registering:
            self._registering.release()
            self._registering = None
        if self._outputs:
            self._outputs.release()
            self._outputs = None

    def problem(self, words: str) -> None:
        """Remember for the diagnostics why a transition failed."""
        self._problem = words

    def _forget_streams(self) -> None:
        self._streams = Streams(self.parameters)
        self._mode = 'waiting'
        self._last_output_s = time.monotonic()

    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        self._statistics.count(f'{camera} in')
        for job in self._streams.add(camera, message):
            self._submit(job)
        for cause, count in self._streams.new_drops().items():
            self._statistics.drop(cause, count)

    def _submit(self, job: Job) -> None:
        assert self._worker is not None
        self._statistics.count('pairs' if job.mode == 'normal' else job.mode)
        if not self._is_wanted():
            self._statistics.count('not wanted')
        elif self._worker.submit(job):
            self._statistics.drop('overload')

    def _is_wanted(self) -> bool:
        return not self.parameters.lazy or (self._outputs is not None and self._outputs.has_subscribers())

    def _on_camera_info(self, camera: str, info: CameraInfo) -> None:
        try:
            self._calibrations.take(camera, info)
        except InputError as error:
            self._drop(f'{camera}_camera_info', error)

    def _on_text(self, message: Float32MultiArray) -> None:
        assert self._pipeline is not None
        try:
            embedding = embedding_from_message(message, self._pipeline.engine.info)
        except InputError as error:
            self._statistics.drop('text_embedding')
            self._announcer.once('text_embedding', f'refused: {error}')
            return
        self._announcer.over('text_embedding')
        # One assignment: the worker takes it between two frames.
        self._text = Text(embedding, time.monotonic()) if embedding.any() else None

    def _text_age(self) -> float | None:
        """Seconds since the last text embedding; None without one."""
        text = self._text
        return time.monotonic() - text.arrived_s if text else None

    def _embedding(self) -> npt.NDArray[np.float32] | None:
        """The text embedding for the next frame; None if there is none, or too old a one."""
        text, timeout = self._text, self.parameters.text_timeout
        if text is None or 0 < timeout < time.monotonic() - text.arrived_s:
            return None
        return text.embedding

    def _on_save_snapshot(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._last_frame is None:
                raise InputError('no frame has been fused yet')
            folder = Path(self.parameters.snapshot_folder).expanduser()
            response.message = str(save_snapshot(folder, *self._last_frame, self.parameters, self._facts()))
            response.success = True
        except InputError as error:
            response.message = str(error)
        return response

    def _on_switch_engine(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load what the parameters ask for in the background; the engine in place serves until the new one is warm."""
        settings = self.parameters
        try:
            if not self.is_configured:
                raise InputError('the node is not configured; configure loads the engine that the parameters ask for')
            if obstacle := obstacle_to(settings.engine, Path(settings.weights) if settings.weights else None):
                raise InputError(obstacle)
            size = (settings.warm_up_width, settings.warm_up_height)
            if self._last_frame:
                size = self._last_frame[0].visible.shape[1::-1]
            self._switch.begin(settings, self._gain, size)
        except InputError as error:
            response.message = str(error)
            return response
        response.success = True
        response.message = f'{self._switch.status} in the background; diagnostics say when it has taken over'
        return response

    def _take_over_engine(self) -> None:
        pipeline = self._switch.take()
        if pipeline is None:
            self.get_logger().error(f'engine not switched: {self._switch.failure}')
            return
        assert self._pipeline is not None
        old, new = self._pipeline.engine.info, pipeline.engine.info
        if (old.text_encoder, old.text_dim) != (new.text_encoder, new.text_dim):
            self._text = None
        self._pipeline = pipeline
        self._statistics.forget_times()
        self.get_logger().info(f'switched: {self._engine_in_words()}')

    def _engine_in_words(self) -> str:
        assert self._pipeline is not None
        engine = self._pipeline.engine
        words = f'{engine.name} ({engine.precision}) on {engine.device}, weights {engine.info.weights_id}'
        return f'{words}; {engine.reason}' if engine.reason else words

    def _drop(self, cause: str, error: InputError) -> None:
        self._statistics.drop(cause)
        self._announcer.now_and_then(cause, f'dropped: {error}')

    def _process(self, job: Job) -> None:
        """Fuse and publish one job, in the worker's thread."""
        try:
            frame = self._fuse(job)
        except BadFrameError as error:
            self._drop(f'{error.camera}_bad', error)
            return
        except InputError as error:
            self._drop('refused', error)
            return
        assert self._outputs is not None
        with self._statistics.timed('publish'):
            self._outputs.publish(frame, self.parameters)
        self._failures = 0
        self._mode = job.mode
        self._last_output_s = time.monotonic()
        self._statistics.time('latency', self._last_output_s - job.complete_s)

    def _fuse(self, job: Job) -> OutputFrame:
        assert self._pipeline is not None and self._registering is not None
        settings = self.parameters
        with self._statistics.timed('decode'):
            images = self._decode(job)
        with self._statistics.timed('register'):
            view = self._registering(job, images, settings, self._last_frame[1].depth if self._last_frame else None)
        focal = view.camera.fx if view.camera else None
        with self._statistics.timed('engine'):
            result = self._pipeline(view.visible, view.thermal, self._embedding(), focal, view.coverage)
        if self._drift and job.mode == 'normal':
            self._drift.offer(view)
        height, width = result.depth.shape
        camera = view.camera and view.camera.scaled(width, height)
        heat = heat_of(view.counts, (height, width), settings, view.coverage)
        frame = OutputFrame(job.leading.message.header, result.fused, result.depth, heat, camera, view.info)
        self._last_frame = (images, frame)
        return frame

    def _on_failure(self, error: Exception) -> None:
        self._statistics.drop('failure')
        self._announcer.now_and_then('failure', f'frame failed: {type(error).__name__}: {error}')
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_RESTART:
            self._failures = 0
            self._restart_soon.trigger()

    def _on_failed_look(self, error: Exception) -> None:
        self._announcer.now_and_then('drift', f'alignment not looked at: {type(error).__name__}: {error}')

    def _change_parameters(self, changes: 'Sequence[Parameter[Any]]') -> SetParametersResult:
        result = parameters.check_change(FusionParameters, changes, self.is_configured)
        weights = Path(self.parameters.weights) if self.parameters.weights else None
        for change in changes:
            if result.successful and change.name == 'engine' and (obstacle := obstacle_to(change.value, weights)):
                return SetParametersResult(successful=False, reason=obstacle)
        if result.successful:
            known = {
                change.name: change.value for change in changes if change.name in parameters.meanings(FusionParameters)
            }
            self.parameters = replace(self.parameters, **known)
            self._streams.adjust(self.parameters)
        return result

    def _publish_diagnostics(self) -> None:
        report = self._statistics.report()
        status = make_status(
            f'{self.get_fully_qualified_name()}: fusion',
            assess(self._condition(), report, self.parameters),
            self._facts(),
            report,
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _condition(self) -> Condition:
        return Condition(
            problem=self._problem,
            switch_failure=self._switch.failure,
            is_active=self.state == State.PRIMARY_STATE_ACTIVE,
            is_wanted=self._is_wanted(),
            mode=self._mode,
            silence={camera: self._streams.silence(camera) for camera in CAMERAS},
            since_output=time.monotonic() - self._last_output_s,
            offset=self._streams.offset(),
            quality_problems=self._quality_problems(),
            has_calibration=self._has_calibration(),
            registration_problem=self._registering.problem if self._registering else '',
            shift=self._drift.shift if self._drift else None,
            text_age=self._text_age(),
        )

    def _quality_problems(self) -> list[str]:
        unused = [name for name in self._given_qualities if not self.has_parameter(name)]
        problems = [f'parameter {name!r} fits no topic of this node' for name in unused]
        return [*problems, *self._inputs.problems(), *(self._outputs.problems() if self._outputs else ())]

    def _has_calibration(self) -> bool:
        by_file = self._last_frame is not None and self._last_frame[1].camera is not None
        return by_file or 'visible' in self._calibrations or self.parameters.fallback_field_of_view > 0

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {'state': LABELS[self.state], 'mode': self._mode}
        if self._pipeline:
            engine = self._pipeline.engine
            facts |= {'engine': engine.name, 'device': engine.device, 'engine reason': engine.reason}
            facts |= {'precision': engine.precision, 'weights': engine.info.weights_id}
            facts['engine switch'] = self._switch.status or self._switch.failure or 'none'
        if self._registering:
            facts['registration'] = self._registering.status
        if self._drift and (shift := self._drift.shift):
            facts['registration drift [px]'] = (
                f'{shift.x:.1f} right, {shift.y:.1f} down' if shift.is_certain else 'unknown'
            )
        facts['text'] = 'applied' if self._embedding() is not None else 'expired' if self._text else 'none'
        if (offset := self._streams.offset()) is not None:
            facts['time offset [ms]'] = f'{1e3 * offset:.1f}'
        if self._last_frame and self._last_frame[0].counts is not None:
            # A pixel of 64 is enough to tell a range, and costs nothing.
            images, frame = self._last_frame
            some = frame.heat[::8, ::8]
            if np.isfinite(some).any():
                unit = heat_unit(images.counts, self.parameters)
                facts['thermal range'] = f'{np.nanmin(some):.1f} to {np.nanmax(some):.1f} {unit}'
        return facts


def main() -> int:
    """Run the node."""
    return run(FusionNode)


if __name__ == '__main__':
    sys.exit(main())
