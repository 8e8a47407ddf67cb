"""Loads engines: while the node is configured, or in the background while another one serves."""

import threading
from collections.abc import Callable
from pathlib import Path

from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.engines import create_engine
from ldfusion_models.engines.selection import prepare_engine
from ldfusion_models.errors import InputError
from ldfusion_models.rig.pipeline import Pipeline, size_of_inference
from ldfusion_ros.parts.fusion_parameters import FusionParameters

Size = tuple[int, int]


def load_pipeline(parameters: FusionParameters, gain: GainControl, size: Size) -> Pipeline:
    """The engine that the parameters ask for, after a first run with images of ``size`` (width, height).

    Raises:
        InputError: an engine that can't run here, or weights that are missing or damaged.
    """
    weights = Path(parameters.weights) if parameters.weights else None
    engine = create_engine(parameters.engine, weights, parameters.threads, parameters.precision)
    pipeline = Pipeline(engine, gain, parameters.inference_size, parameters.enlargement)
    pipeline.warm_up(*size)
    return pipeline


class EngineSwitch:
    """Loads one pipeline at a time in a thread; who asked for it takes it in a thread of their own."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        """``on_end`` is called in the loading thread once a pipeline is warm, or can't be had."""
        self._on_end = on_end
        self._lock = threading.Lock()
        self._loading = ''
        self._progress = ''
        self._failure = ''
        self._run: object | None = None
        self._pipeline: Pipeline | None = None

    def begin(self, parameters: FusionParameters, gain: GainControl, size: Size) -> None:
        """Start to load what the parameters ask for, for images of ``size`` (width, height).

        Raises:
            InputError: another engine is still being loaded.
        """
        if self._loading:
            raise InputError(f'{self._loading} is still being loaded; try again when it has taken over')
        self._loading, self._progress, self._failure = parameters.engine, '', ''
        run = self._run = object()

        def work() -> None:
            pipeline, failure = None, ''
            try:
                self._prepare(parameters, size)
                pipeline = load_pipeline(parameters, gain, size)
            except Exception as error:
                failure = str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {error}'
            with self._lock:
                if self._run is run:
                    self._pipeline, self._failure = pipeline, failure
                    self._on_end()

        threading.Thread(target=work, name='engine switch', daemon=True).start()

    def take(self) -> Pipeline | None:
        """The pipeline that is warm; None if it can't be had, and :attr:`failure` says why."""
        with self._lock:
            pipeline, self._pipeline = self._pipeline, None
            self._loading = ''
        return pipeline

    def cancel(self) -> None:
        """Forget what is being loaded; ``on_end`` is not called any more."""
        with self._lock:
            self._run = self._pipeline = None
            self._loading = self._failure = ''

    @property
    def failure(self) -> str:
        """Why the last switch failed; empty if it did not."""
        return self._failure

    @property
    def status(self) -> str:
        """What is being loaded, and how far it is; empty if nothing is."""
        if self._failure or not self._loading:
            return ''
        return f'loading {self._loading}' + (f': {self._progress}' if self._progress else '')

    def _prepare(self, parameters: FusionParameters, size: Size) -> None:
        def report(progress: str) -> None:
            self._progress = progress

        weights = Path(parameters.weights) if parameters.weights else None
        reduced = size_of_inference(*size, parameters.inference_size)
        prepare_engine(parameters.engine, weights, parameters.precision, reduced, report)
