"""How far an engine's results are from those of ONNX Runtime in float32, on given pairs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.rig.pipeline import Pipeline

# An engine agrees if it stays below: grey levels, relative, relative.
TOLERANCES = {'fused_p99_9': 1.0, 'depth_median': 0.005, 'depth_p99': 0.02}


def measure_agreement(engine: Engine, visible: Path, thermal: Path, weights: Path | None = None) -> dict[str, Any]:
    """Compare on every pair of two folders (or files); see ``compare``.

    Raises:
        InputError: no pairs, or images that can't be fused.
    """
    pipeline = Pipeline(engine, GainControl(GainConfig(smoothing=0.0)))
    pairs = match_pairs(visible, thermal)
    frames = (pipeline.inputs_of(read_image(first), read_image(second)) for first, second in pairs)
    return compare(engine, create_engine('onnxruntime', weights), frames)


def compare(engine: Engine, reference: Engine, frames: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, Any]:
    """Compare on inputs of the frame graph; all pixels count alike.

    Returns:
        ``fused_p99_9`` in grey levels, ``depth_median`` and ``depth_p99`` as relative differences, and ``agrees``.
    """
    levels: list[npt.NDArray[np.uint8]] = []
    relative: list[npt.NDArray[np.float32]] = []
    for frame in frames:
        inputs = frame['visible'], frame['thermal'], frame['text']
        ours, expected = engine.run(*inputs), reference.run(*inputs)
        levels.append(np.abs(ours.fused.astype(np.int16) - expected.fused).astype(np.uint8).ravel())
        relative.append(np.abs(ours.depth / expected.depth - 1).ravel())
    differences = np.concatenate(relative)
    measured = {
        'fused_p99_9': float(np.percentile(np.concatenate(levels), 99.9)),
        'depth_median': float(np.median(differences)),
        'depth_p99': float(np.percentile(differences, 99)),
    }
    return {**measured, 'agrees': all(measured[name] <= limit for name, limit in TOLERANCES.items())}


def in_words(measured: Mapping[str, Any]) -> str:
    """What ``compare`` measured, for people."""
    verdict = 'within the tolerances' if measured['agrees'] else 'outside of the tolerances (1 level, 0.5 %, 2 %)'
    return (
        'beside ONNX Runtime in float32: fused within {fused_p99_9:.0f} levels for 99.9 % of the pixels, depth '
        'differs by {depth_median:.2%} at the median and {depth_p99:.2%} at the 99th percentile; '.format(**measured)
    ) + verdict
