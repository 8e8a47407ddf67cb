"""An engine that is built for each image size, in the background while another one serves the frames.

None serves before it has proved itself at its size.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import Engine, EngineFailedError, FrameOutput
from ldfusion_models.engines.proof import Reference
from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo

log = logging.getLogger(__name__)

Size = tuple[int, int]
Report = Callable[[str], None]


class Built(Protocol):
    """A built engine, ready for frames of one size."""

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        ...


class Builder(Protocol):
    """Builds and keeps engines of one graph.

    Attributes:
        name, library, device, precision, info: as of an :class:`ldfusion_models.engines.Engine`.
    """

    name: str
    library: str
    device: str
    precision: str
    info: GraphInfo

    def load(self, size: Size) -> Built | None:
        """The engine for images of ``size`` (width, height); None if it must be built.

        Raises:
            EngineFailedError: it can't run here.
        """
        ...

    def build(self, size: Size, report: Report) -> Built:
        """Build it, which may take minutes; ``report`` takes a line now and then.

        Raises:
            EngineFailedError, InputError: it can't be built, or not run here.
        """
        ...


class BuiltEngine:
    """Runs what ``builder`` has built for the frame's size, and ``stand_in`` while it builds, or if it can't."""

    def __init__(self, builder: Builder, stand_in: Engine, reference: Callable[[Size], Reference]) -> None:
        """``reference`` gives the pair at a size on which engines prove themselves."""
        self._builder = builder
        self._stand_in = stand_in
        self._reference = reference
        self._own_reason = ''
        self._running: Built | None = None
        self._size: Size | None = None
        self._thread: threading.Thread | None = None
        self._built: dict[Size, Built] = {}
        self._progress = ''
        self._failure = ''
        self._proof = ''
        self.info = builder.info

    @property
    def serving(self) -> Built | Engine:
        """What serves the frames now."""
        return self._running or self._stand_in

    @property
    def name(self) -> str:
        """Its name."""
        return self._builder.name if self._running else self._stand_in.name

    @property
    def library(self) -> str:
        """What computes the frames now."""
        return self._builder.library if self._running else self._stand_in.library

    @property
    def proof(self) -> str:
        """How far what computes the frames now is from ONNX Runtime."""
        return self._proof if self._running else self._stand_in.proof

    @property
    def device(self) -> str:
        """Where the frames are computed now."""
        return self._builder.device if self._running else self._stand_in.device

    @property
    def precision(self) -> str:
        """What the engine that serves the frames rounds to."""
        return self._builder.precision if self._running else self._stand_in.precision

    @property
    def reason(self) -> str:
        """Why it runs, how far a build is, and why there is none."""
        return '; '.join(words for words in (self._own_reason, self._progress, self._failure) if words)

    @reason.setter
    def reason(self, words: str) -> None:
        self._own_reason = words

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        size = (visible.shape[2], visible.shape[1])
        if self._running is None or self._size != size:
            self._size, self._running = size, self._load_or_build(size)
        return self.serving.run(visible, thermal, text)

    def _load_or_build(self, size: Size) -> Built | None:
        if self._failure or (self._thread is not None and self._thread.is_alive()):
            return None
        if size in self._built:
            return self._built.pop(size)
        try:
            engine = self._builder.load(size)
            if engine is not None:
                return self._prove(engine, size)
        except EngineFailedError as error:
            self._fail(str(error))
            return None
        self._progress = f'{self._builder.name} is being built for {size[0]}x{size[1]}'
        self._thread = threading.Thread(target=self._build, args=(size,), name='engine build', daemon=True)
        self._thread.start()
        return None

    def _build(self, size: Size) -> None:
        title = self._progress

        def report(progress: str) -> None:
            self._progress = f'{title}: {progress}'

        try:
            # One at a time: each holds memory of the device.
            self._built = {size: self._prove(self._builder.build(size, report), size)}
        except (EngineFailedError, InputError) as error:
            self._fail(str(error))
        except Exception as error:  # or every frame would begin another build
            self._fail(f'{type(error).__name__}: {error}')
        self._progress = ''

    def _prove(self, engine: Built, size: Size) -> Built:
        self._proof = self._reference(size).prove(engine, self._builder.library)
        return engine

    def _fail(self, why: str) -> None:
        self._failure = f'no {self._builder.name}: {why}'
        log.warning('%s; %s goes on', self._failure, self._stand_in.name)
