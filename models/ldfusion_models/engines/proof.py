"""Every engine proves itself before it serves: it must give what ONNX Runtime gave for a small reference pair.

Libraries have given wrong depth without any error (TensorRT 10.3 of JetPack 6.2 does for published depth networks). The
pair lies beside the weights with ONNX Runtime's outputs, which the release of the weights has recorded. For an engine
that is made for images of one size, and for exported graphs, ONNX Runtime gives them anew on the CPU.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.engines.base import OUTPUTS, Engine, EngineFailedError, FrameOutput
from ldfusion_models.graph.manifest import read_manifest

FILE = 'reference.safetensors'


class Runs(Protocol):
    """What takes frames, as an engine does."""

    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        ...


@dataclass(frozen=True)
class Deviation:
    """How far outputs are from those of ONNX Runtime in float32.

    Attributes:
        fused_p99_9: grey levels, 99.9th percentile over all pixels and channels.
        depth_median, depth_p99: relative differences of depth.
    """

    fused_p99_9: float
    depth_median: float
    depth_p99: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[FrameOutput, FrameOutput]]) -> 'Deviation':
        """Of pairs of outputs, an engine's and the expected one; all pixels count alike."""
        levels, relative = [], []
        for ours, expected in pairs:
            levels.append(np.abs(ours.fused.astype(np.int16) - expected.fused).astype(np.uint8).ravel())
            relative.append(np.abs(ours.depth / expected.depth - 1).ravel())
        depth = np.concatenate(relative)
        return cls(
            float(np.percentile(np.concatenate(levels), 99.9)),
            float(np.median(depth)),
            float(np.percentile(depth, 99)),
        )

    @property
    def is_tolerable(self) -> bool:
        """Whether it is within a grey level, 0.5 % and 2 %; depth that is no number is not."""
        return self.fused_p99_9 <= 1.0 and self.depth_median <= 0.005 and self.depth_p99 <= 0.02

    def __str__(self) -> str:
        return (
            f'fused differs by {self.fused_p99_9:.0f} levels (99.9th percentile), depth by {self.depth_median:.2%} '
            f'(median) and {self.depth_p99:.2%} (99th percentile)'
        )


@dataclass(frozen=True)
class Reference:
    """Inputs of the frame graph and what ONNX Runtime makes of them."""

    visible: npt.NDArray[np.uint8]
    thermal: npt.NDArray[np.uint8]
    text: npt.NDArray[np.float32]
    expected: FrameOutput

    @classmethod
    def read(cls, weights: Path | None) -> 'Reference':
        """The pair that lies beside a folder of weights.

        Raises:
            InputError: the file is missing or damaged.
        """
        arrays = _read(weights)
        expected = FrameOutput(*(arrays[name] for name in OUTPUTS))
        return cls(arrays['visible'], arrays['thermal'], arrays['text'], expected)

    @classmethod
    def compute(cls, engine: Engine, size: tuple[int, int] | None = None) -> 'Reference':
        """The package's pair, enlarged to ``size`` (width, height) if given, and what ``engine`` makes of it.

        Raises:
            InputError: the package's pair is missing or damaged.
        """
        arrays = _read(None)
        visible, thermal = arrays['visible'], arrays['thermal']
        if size:
            visible, thermal = (
                cv2.resize(image[0], size).astype(np.uint8).reshape(1, size[1], size[0], -1)
                for image in (visible, thermal)
            )
        # Not a sentence, but it reaches all that a sentence does; of length 1, as embeddings are.
        text = np.random.default_rng(0).standard_normal((1, engine.info.text_dim), np.float32)
        text /= np.linalg.norm(text)
        return cls(visible, thermal, text, engine.run(visible, thermal, text))

    def deviation(self, engine: Runs) -> Deviation:
        """How far ``engine`` is from it."""
        return Deviation.of([(engine.run(self.visible, self.thermal, self.text), self.expected)])

    def prove(self, engine: Runs, library: str) -> str:
        """What the diagnostics say of an engine that is near enough; ``library`` names what computes.

        Raises:
            EngineFailedError: it is not.
        """
        deviation = self.deviation(engine)
        if not deviation.is_tolerable:
            raise EngineFailedError(f'{library} is too far from ONNX Runtime on the reference pair: {deviation}')
        return f'{library}, beside ONNX Runtime on the reference pair: {deviation}'

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As it is written to a file."""
        return {
            'visible': self.visible,
            'thermal': self.thermal,
            'text': self.text,
            **{name: getattr(self.expected, name) for name in OUTPUTS},
        }


def _read(weights: Path | None) -> dict[str, npt.NDArray[Any]]:
    from safetensors.numpy import load_file

    arrays: dict[str, npt.NDArray[Any]] = load_file(read_manifest(weights).verified_reference())
    return arrays
