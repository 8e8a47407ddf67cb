"""``ldfusion depth`` and ``teach-depth``: images of one modality to metric depth, by a branch or by teachers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import DepthFormat
from ldfusion_training.options.types import Part, Positive


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Estimate depth of single images.

    Writes OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown, 65535 = farther than that) and
    OUTPUT/summary.json.
    """

    image: Path
    """image or folder"""
    branch: Literal['visible', 'thermal', 'infrared']
    """what the images are"""
    output: Path
    """folder"""
    model: str | None = None
    """a published metric network instead of the package's own, through transformers: a local folder, or
    OWNER/NAME, which ldfusion models fetch has brought (ZoeDepth, Depth Anything V2 metric); it does not use --fx
    """
    fx: Positive | None = None
    """focal length of the images"""
    depth_format: DepthFormat = 'png'
    """png: 16 bits; tiff, npz: 32-bit floats, metres, NaN = unknown"""
    depth_units: Positive = 1000.0
    """of 16-bit depth, per metre: 1000 ends at 65.5 m, 256 at 256 m"""
    minimum_confidence: Part = 0.0
    """depth that the branch is less sure of is unknown; confidence as the node's"""


@dataclass(frozen=True, kw_only=True)
class TeachDepth:
    """Write what teachers see in every image, as a data set with depth.

    Writes OUTPUT/vi, OUTPUT/depth (16 bits, metres x 256) and OUTPUT/camera, and OUTPUT/ir where DATA has it. Cameras
    that are not known are taken to be canonical.
    """

    data: Path
    """folder with vi, and perhaps ir and camera"""
    teacher: tuple[Path, ...]
    """checkpoints of ldfusion train depth_teacher; of several, the mean"""
    output: Path
    """folder"""
    device: Literal['cpu', 'cuda'] = 'cpu'
    """where the teachers run"""
