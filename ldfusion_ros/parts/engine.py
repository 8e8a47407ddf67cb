"""The engine of the fusion node: loaded while it is configured, or in the background while another one serves."""

import threading
from typing import Any

from ldfusion_models.engines import create_engine
from ldfusion_models.engines.selection import obstacle_to, prepare_engine
from ldfusion_models.errors import InputError
from ldfusion_models.rig.pipeline import Pipeline, size_of_inference
from ldfusion_models.rig.rig import Rig, pipeline_of
from ldfusion_models.shown import one_line
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part
from ldfusion_ros.parts.fusion_parameters import FusionParameters

Size = tuple[int, int]


def load_pipeline(parameters: FusionParameters, size: Size) -> Pipeline:
    """The engine that the parameters ask for, after a first run with images of ``size`` (width, height).

    Raises:
        InputError: an engine that can't run here, or weights that are missing or damaged.
    """
    engine = create_engine(parameters.engine, parameters.weights_folder, parameters.threads, parameters.precision)
    pipeline = pipeline_of(engine, parameters)
    pipeline.warm_up(*size)
    return pipeline


class EngineSwitch(Part):
    """Exchanges the rig's engine: one is loaded at a time, in a thread, and taken over in the executor's."""

    def __init__(self, node: ManagedNode[Any], rig: Rig) -> None:
        self._node, self._rig = node, rig
        self._loaded = node.create_guard_condition(self._take_over)
        self._lock = threading.Lock()
        self._loading = self._progress = self._failure = ''
        self._run: object | None = None
        self._pipeline: Pipeline | None = None

    def start(self) -> None:
        """Say what engine serves."""
        self._node.get_logger().info(f'active: {self._describe()}')

    def release(self) -> None:
        """Forget what is being loaded, and let go of the engine: the executor may know this part a little longer."""
        with self._lock:
            self._run = self._pipeline = None
            self._loading = self._failure = ''
        self._node.destroy_guard_condition(self._loaded)
        self._rig.close()

    def begin(self, size: Size) -> str:
        """Start to load what the node's parameters ask for, for images of ``size`` (width, height); says what.

        Raises:
            InputError: another engine is still being loaded, or this one can't be had.
        """
        parameters: FusionParameters = self._node.parameters
        if obstacle := obstacle_to(parameters.engine, parameters.weights_folder):
            raise InputError(obstacle)
        if self._loading:
            raise InputError(f'{self._loading} is still being loaded; try again when it has taken over')
        self._loading, self._progress, self._failure = parameters.engine, '', ''
        self._run = object()
        arguments = (self._run, parameters, size)
        threading.Thread(target=self._load, args=arguments, name='engine switch', daemon=True).start()
        return self._status()

    def report(self, health: Health) -> None:
        """What engine serves, and what becomes of a switch."""
        engine = self._rig.pipeline.engine
        health.facts |= {'engine': engine.name, 'device': engine.device, 'engine reason': engine.reason}
        health.facts['engine proof'] = engine.proof
        health.facts |= {'precision': engine.precision, 'weights': engine.info.weights_id}
        health.facts['depth network'] = engine.info.depth or 'of the package'
        health.facts['engine switch'] = self._status() or self._failure or 'none'
        if self._failure:
            health.warn(f'engine not switched: {self._failure}')

    def _load(self, run: object, parameters: FusionParameters, size: Size) -> None:
        pipeline, failure = None, ''
        try:
            reduced = size_of_inference(*size, parameters.inference_size)
            prepare_engine(
                parameters.engine, parameters.weights_folder, parameters.precision, reduced, self._report_progress
            )
            pipeline = load_pipeline(parameters, size)
        except Exception as error:
            failure = str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {error}'
        with self._lock:
            if self._run is run:
                self._pipeline, self._failure = pipeline, failure
                self._loaded.trigger()

    def _report_progress(self, progress: str) -> None:
        self._progress = progress

    def _take_over(self) -> None:
        with self._lock:
            pipeline, failure = self._pipeline, self._failure
            self._run = self._pipeline = None
            self._loading = ''
        if pipeline is not None:
            self._rig.pipeline = pipeline
            self._node.statistics.forget_times()
            self._node.get_logger().info(f'switched: {self._describe()}')
        elif failure:
            self._node.get_logger().error(one_line(f'engine not switched: {failure}'))

    def _status(self) -> str:
        """What is being loaded, and how far it is; empty if nothing is."""
        if self._failure or not self._loading:
            return ''
        return f'loading {self._loading}' + (f': {self._progress}' if self._progress else '')

    def _describe(self) -> str:
        engine = self._rig.pipeline.engine
        text = f'{engine.name} ({engine.precision}) on {engine.device}, weights {engine.info.weights_id}'
        return f'{text}; {engine.reason}' if engine.reason else text
