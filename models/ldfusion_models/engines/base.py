"""What every engine does: two images and a text embedding in, fused image and depth out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo

# Of the frame graph, by name, in this order.
OUTPUTS = ('fused', 'depth', 'uncertainty')


@dataclass(frozen=True)
class FrameOutput:
    """What comes out of the frame graph.

    Attributes:
        fused: uint8 (1, H, W, 3) RGB.
        depth: float32 (1, H, W) metres for the canonical focal length.
        uncertainty: float32 (1, H, W), standard deviation of log depth as the network estimates it.
    """

    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]


class EngineFailedError(Exception):
    """The device failed, not the input: a GPU that disappeared or has no memory left."""


class Engine(Protocol):
    """A runtime that holds the frame graph.

    Attributes:
        name: a name of ``choices.EngineName``.
        library: what computes, with its version.
        device: ``cpu``, ``cuda`` or the like.
        precision: fp32 or mixed.
        reason: why this engine runs and no other; empty if it was asked for by name and does.
        proof: how far it is from ONNX Runtime on the reference pair; empty where ONNX Runtime runs an exported file.
        info: facts about the graph.
    """

    reason: str

    @property
    def name(self) -> str: ...

    @property
    def library(self) -> str: ...

    @property
    def proof(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def info(self) -> GraphInfo: ...

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame.

        Args:
            visible: (1, H, W, 3) RGB.
            thermal: (1, H, W, 1).
            text: (1, D); all zeros means no text.

        Raises:
            EngineFailedError: the device failed.
        """
        ...


def chosen_precision(asked: str, engine: str, known: tuple[str, ...]) -> str:
    """The precision that ``asked`` means for an engine that knows some, its own choice first.

    Raises:
        InputError: no such precision, or not for this engine.
    """
    if asked == 'auto':
        return known[0]
    if asked not in known:
        raise InputError(f'precision {asked!r}: engine {engine} has auto, {", ".join(known)}')
    return asked
