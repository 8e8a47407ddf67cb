"""An engine whose device may fail while the program runs, and what takes over then."""

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import Engine, EngineFailedError, FrameOutput
from ldfusion_models.graph.info import GraphInfo


class GuardedEngine:
    """Runs an engine until its device fails, and a stand-in from then on."""

    def __init__(self, engine: Engine, make_stand_in: Callable[[], Engine]) -> None:
        self._engine = engine
        self._make_stand_in = make_stand_in

    @property
    def serving(self) -> Engine:
        """The engine that runs now."""
        return self._engine

    @property
    def name(self) -> str:
        """Its name."""
        return self._engine.name

    @property
    def library(self) -> str:
        """What computes."""
        return self._engine.library

    @property
    def proof(self) -> str:
        """How far it is from ONNX Runtime."""
        return self._engine.proof

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """What it rounds to."""
        return self._engine.precision

    @property
    def reason(self) -> str:
        """Why it runs."""
        return self._engine.reason

    @reason.setter
    def reason(self, words: str) -> None:
        self._engine.reason = words

    @property
    def info(self) -> GraphInfo:
        """Facts about the graph."""
        return self._engine.info

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        try:
            return self._engine.run(visible, thermal, text)
        except EngineFailedError as error:
            words = f'{self.name} failed: {error}'
            self._engine = self._make_stand_in()
            self.reason = words
            logging.getLogger(__name__).warning('%s; %s takes over', self.reason, self._engine.name)
            return self._engine.run(visible, thermal, text)
