"""The point cloud of a fused frame as a picture: from above, and from the side."""

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, points_from_depth, without_flying_points
from ldfusion_training.data.pairs import Image8
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet, side_view, view_from_above

CELL = (480, 360)
# Depth that changes more between neighbours is an outline, not a surface.
FLYING_STEP = 0.1
NEAREST_RANGE, FARTHEST_RANGE = 5.0, 60.0


def cloud_sheet(fused: Image8, depth: npt.NDArray[np.float32], focal: float) -> Image8:
    """Fused image and depth above, the cloud without flying points from above and from the side below.

    Args:
        fused: (H, W, 3) RGB.
        depth: (H, W) metres.
        focal: in pixels; the optical axis is taken to be in the middle of the image.
    """
    height, width = depth.shape
    camera = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    points = points_from_depth(without_flying_points(depth, FLYING_STEP), camera)
    farthest = float(np.clip(np.percentile(depth, 90), NEAREST_RANGE, FARTHEST_RANGE))
    views = [
        view_from_above(points, fused, *CELL, farthest),
        side_view(points, fused, *CELL),
    ]
    colours = colour_depth(depth, DepthScale.covering([depth]))
    rows = [Row('fused image and depth', [fused, colours]), Row('cloud from above, and from the right', views)]
    return contact_sheet(['', ''], rows, CELL)
