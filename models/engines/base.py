"""What every engine does: two images and a text embedding in, fused image and depth out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError

ENGINES = ('onnxruntime', 'torch')


@dataclass(frozen=True)
class GraphInfo:
    """What a caller must know of the graph that an engine runs.

    Attributes:
        text_dim: length D of the text embedding.
        text_encoder: name of the encoder whose embeddings the modulation was trained on; empty if none was.
        canonical_focal: focal length in pixels for which depth comes out in metres; a camera with focal length
            f pixels at the graph's input size multiplies depth by ``f / canonical_focal``.
        weights_id: first 12 digits of the sha256 over the weights' sha256 sums.
    """

    text_dim: int
    text_encoder: str
    canonical_focal: float
    weights_id: str


@dataclass(frozen=True)
class FrameOutput:
    """What comes out of the frame graph: ``fused`` uint8 (1, H, W, 3) RGB, ``depth`` float32 (1, H, W) metres."""

    fused: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]


class Engine(Protocol):
    """A runtime that holds the frame graph."""

    name: str
    device: str
    info: GraphInfo

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame.

        Args:
            visible: (1, H, W, 3) RGB.
            thermal: (1, H, W, 1).
            text: (1, D); all zeros means no text.
        """
        ...


def create_engine(name: str = 'auto', weights: Path | None = None, threads: int = 0) -> Engine:
    """Load the frame graph into the engine called ``name``.

    Args:
        name: one of ``ENGINES``, or ``auto`` for the best that is available here.
        weights: folder of weights; None for those that came with the package.
        threads: CPU threads; 0 lets the engine choose.

    Raises:
        InputError: unknown engine, or weights that are missing or damaged.
    """
    if name not in ('auto', *ENGINES):
        raise InputError(f'engine {name!r} is unknown; choose one of auto, {", ".join(ENGINES)}')
    if name == 'torch' or (name == 'auto' and _cuda_is_available()):
        from ldfusion_models.engines.torch_engine import TorchEngine

        return TorchEngine(weights, threads)
    from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(weights, threads)


def _cuda_is_available() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
