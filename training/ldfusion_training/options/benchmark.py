"""``ldfusion benchmark``: latency, throughput, memory and the roofline of an engine on this machine."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.choices import EngineName, Precision
from ldfusion_training.options.types import Size


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Time an engine on this machine.

    Prints operations, parameters, load time, latency, throughput, memory, time by stage, and how far from what the
    machine can do that is. Let nothing else run meanwhile.

    Several engines or weights are compared instead, frame by frame in turn, which needs no quiet machine.
    """

    engine: tuple[EngineName, ...] = ('auto',)
    weights: tuple[Path, ...] = ()
    """folders of weights or exported graphs; default: of the package"""
    precision: Precision = 'auto'
    threads: int = 0
    """of the processor; 0 lets the engine choose"""
    size: Size = (640, 480)
    """of the images"""
    runs: int = 100
    """frames that are timed"""
    peers: bool = False
    """also time DenseFuse, SeAFusion and IFCNN (needs PyTorch)"""
    layers: int = 0
    """list so many of the slowest layers in ONNX Runtime"""
    pairs: tuple[Path, Path] | None = None
    """folders of visible and thermal images on which results are compared with ONNX Runtime's"""
    gpu: bool = False
    """instead: all that is to be known of an NVIDIA GPU"""
    json: Path | None = None
    """write the result as JSON too"""
