"""``ldfusion export``: the frame graph as one ONNX file, or built by TensorRT ahead of time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import Precision
from ldfusion_training.options.types import Size


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the frame graph as one ONNX file, or build it with TensorRT.

    Writes graph and weights as one ONNX file. With --engine tensorrt it builds that engine instead: for the GPU of
    this machine, or with --compute-capability and TensorRT for RTX for others, without one.
    """

    output: Path | None = None
    """the .onnx file to write; folder for a built engine (where nodes look for it)"""
    weights: Path | None = None
    """folder of weights, or exported file; default: of the package"""
    size: Size | None = None
    """the only size of images that the file takes (any); that which TensorRT builds for (640x480)"""
    precision: Precision = 'auto'
    engine: Literal['tensorrt'] | None = None
    """the engine to build"""
    compute_capability: tuple[str, ...] = ()
    """of the GPUs that the engine is for, such as 8.9, or all"""
