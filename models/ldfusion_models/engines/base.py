"""What every engine does: two images and a text embedding in, fused image and depth out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo

# fp32: float32 throughout. mixed: denoiser and fusion with 16 bits, depth with 32. int8: as mixed, but convolutions of
# denoiser and fusion with 8 bits; for graphs that were calibrated when they were exported.
PRECISIONS = ('fp32', 'mixed', 'int8')


@dataclass(frozen=True)
class FrameOutput:
    """What comes out of the frame graph: ``fused`` uint8 (1, H, W, 3) RGB, ``depth`` float32 (1, H, W) metres."""

    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]


class EngineFailedError(Exception):
    """The device failed, not the input: a GPU that disappeared or has no memory left."""


class Engine(Protocol):
    """A runtime that holds the frame graph.

    Attributes:
        name: one of ``ENGINES``.
        device: ``cpu``, ``cuda`` or the like.
        precision: one of ``PRECISIONS``.
        reason: why this engine runs and no other; empty if it was asked for by name and does.
        info: facts about the graph.
    """

    reason: str

    @property
    def name(self) -> str: ...

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


def chosen_precision(asked: str, own: str, engine: str, info: GraphInfo, known: tuple[str, ...] = ('fp32',)) -> str:
    """The precision that ``asked`` means for an engine whose own choice is ``own``; a quantised graph has but one.

    Raises:
        InputError: no such precision, or not for this engine and graph.
    """
    if info.is_quantised:
        own, known = 'int8', ('int8',)
    if asked == 'auto':
        return own
    if asked not in known:
        remedy = '; int8 takes a graph that ldfusion export has calibrated' if asked == 'int8' else ''
        raise InputError(f'precision {asked!r}: engine {engine} has auto, {", ".join(known)} for this graph{remedy}')
    return asked
