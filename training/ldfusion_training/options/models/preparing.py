"""``ldfusion models prepare`` and ``use``: published networks as parts of the nodes."""

from dataclasses import dataclass, field
from pathlib import Path

from ldfusion_models.choices import EMBEDDED, DepthSource
from ldfusion_training.options.types import Size


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Make a fetched model a part of the nodes.

    Depth: writes the frame graph with it in place of the package's own network, for images of one size, and keeps it
    only if its depth is that of transformers' own pipeline. Text encoders: fits the fusion's modulation to it, and
    shows what prompts do with it and with the package's own. Both lie in the model's folder, where the nodes find
    them. Of both TensorRT's engine is built, so that no node has to, where there is a GPU to build it for. Captioners
    need no preparation.
    """

    name: str = field(kw_only=False)
    """OWNER/NAME of a fetched model, or a folder"""
    size: Size = (640, 480)
    """of the images that come to a depth network, and for which TensorRT builds"""
    depth_source: DepthSource = 'fused'
    """the image that depth is estimated of"""
    text_encoder: str = EMBEDDED
    """prepared text encoder that a graph with a depth network is to take"""
    compute_capability: tuple[str, ...] = ()
    """of the GPUs that TensorRT for RTX builds for, such as 8.9, or all (this machine's GPU)"""


@dataclass(frozen=True, kw_only=True)
class Use:
    """Write a parameter file with which the nodes use a model, or those of a profile.

    A profile is embedded, outdoor, indoor, paper, or a .yaml file with depth, correcting_depth, depth_source, weights,
    captioner and text_encoder. What is missing for it is said.
    """

    name: str = field(kw_only=False)
    """OWNER/NAME, folder or profile"""
    output: Path
    """the .yaml file, for params_file:= of the launch file"""
    depth_source: DepthSource = 'fused'
    """the image that depth is estimated of"""
