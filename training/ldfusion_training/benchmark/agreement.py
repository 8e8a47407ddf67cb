"""How far an engine's results are from those of ONNX Runtime in float32, on given pairs."""

from pathlib import Path

from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.engines import Engine, create_engine
from ldfusion_models.engines.proof import Deviation
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.rig.pipeline import Pipeline


def measure_agreement(engine: Engine, visible: Path, thermal: Path, weights: Path | None = None) -> Deviation:
    """Compare on every pair of two folders (or files).

    Raises:
        InputError: no pairs, or images that can't be fused.
    """
    pipeline = Pipeline(engine, GainControl(GainConfig(smoothing=0.0)))
    reference = create_engine('onnxruntime', weights)
    pairs = match_pairs(visible, thermal)
    frames = (pipeline.inputs_of(read_image(first), read_image(second)) for first, second in pairs)
    return Deviation.of((engine.run(**frame), reference.run(**frame)) for frame in frames)
