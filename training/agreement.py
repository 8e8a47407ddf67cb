"""How far an engine's results are from those of ONNX Runtime in float32, on given pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.pipeline import Pipeline
from ldfusion_models.thermal import GainConfig, GainControl

# An engine agrees if it stays below: grey levels, relative, relative.
TOLERANCES = {'fused_p99_9': 1.0, 'depth_median': 0.005, 'depth_p99': 0.02}


def measure_agreement(engine: Engine, visible: Path, thermal: Path, weights: Path | None = None) -> dict[str, Any]:
    """Compare on every pair of two folders (or files); all pixels count alike.

    Returns:
        ``fused_p99_9`` in grey levels, ``depth_median`` and ``depth_p99`` as relative differences, and ``agrees``.

    Raises:
        InputError: no pairs, or images that can't be fused.
    """
    levels: list[npt.NDArray[np.uint8]] = []
    relative: list[npt.NDArray[np.float32]] = []
    pipelines = [
        Pipeline(runtime, GainControl(GainConfig(smoothing=0.0)))
        for runtime in (engine, create_engine('onnxruntime', weights))
    ]
    for visible_path, thermal_path in match_pairs(visible, thermal):
        colours, heat = read_image(visible_path), read_image(thermal_path)
        ours, reference = (pipeline(colours, heat) for pipeline in pipelines)
        levels.append(np.abs(ours.fused.astype(np.int16) - reference.fused).astype(np.uint8).ravel())
        relative.append(np.abs(ours.depth / reference.depth - 1).ravel())
    differences = np.concatenate(relative)
    measured = {
        'fused_p99_9': float(np.percentile(np.concatenate(levels), 99.9)),
        'depth_median': float(np.median(differences)),
        'depth_p99': float(np.percentile(differences, 99)),
    }
    return {**measured, 'agrees': all(measured[name] <= limit for name, limit in TOLERANCES.items())}
