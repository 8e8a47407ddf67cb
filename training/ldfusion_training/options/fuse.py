"""``ldfusion fuse``: image files or folders of pairs to fused images and depth."""

from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.choices import EMBEDDED, DepthFormat, EngineName, Enlargement, GainMode
from ldfusion_training.options.types import InferenceSize, NotNegative, Part, Positive


@dataclass(frozen=True, kw_only=True)
class Fuse:
    """Fuse pairs of images.

    Writes OUTPUT/fused/NAME.png, OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown, 65535 = farther than that)
    and OUTPUT/summary.json. Folders are paired by file name.
    """

    visible: Path
    """image or folder"""
    thermal: Path
    """image or folder, 8 or 16 bits"""
    output: Path
    """folder"""
    engine: EngineName = 'auto'
    weights: Path | None = None
    """folder of weights, profile (paper: features by the denoiser itself) or exported graph; default: of the package"""
    depth: str = ''
    """published depth network that ldfusion models prepare has put into the frame graph, OWNER/NAME or folder"""
    registration: Path | None = None
    """how thermal is mapped into visible, as ldfusion calibrate writes it; without, they are taken as aligned"""
    thermal_gain: GainMode = 'percentile'
    """of 16-bit thermal images"""
    inference_size: InferenceSize = 0
    """images with a longer side are reduced to this many pixels for the networks (none are)"""
    enlargement: Enlargement = 'guided'
    """how depth of reduced images comes to their size; none leaves all results reduced"""
    clouds: bool = False
    """also write OUTPUT/cloud/NAME.png: the point cloud from above and the side"""
    depth_format: DepthFormat = 'png'
    """png: 16 bits; tiff, npz: 32-bit floats, metres, NaN = unknown"""
    depth_units: Positive = 1000.0
    """of 16-bit depth, per metre: 1000 ends at 65.5 m, 256 at 256 m"""
    fx: Positive | None = None
    """focal length of the visible images"""
    references: Path | None = None
    """depth that was measured at some pixels of the visible images and corrects the rest: 16-bit images (0 = unknown),
    float TIFF or NPZ; a file for one image, or a folder paired by name"""
    references_units: Positive = 1000.0
    """of 16-bit references, per metre: 1000 is millimetres, 256 KITTI's"""
    references_frame: str = ''
    """references are scans instead (.bin, .npy: points in rows) of a sensor whose frame visible_T_ranges of the
    registration file places"""
    camera_height: NotNegative = 0.0
    """metres of the visible camera above the ground, which correct depth where ground is in view; needs --fx"""
    minimum_confidence: Part = 0.0
    """depth that the network is less sure of is unknown, as on the robot"""
    text_encoder: str = EMBEDDED
    """of --prompt: embedded, or a published one that ldfusion models prepare has fitted the fusion to"""
    prompt: str | None = None
    """what matters, in English, such as 'people behind the smoke'"""
