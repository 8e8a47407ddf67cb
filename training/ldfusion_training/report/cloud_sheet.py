"""The point cloud of a fused frame as a picture: from above, and from the side."""

import numpy as np

from ldfusion_models.camera.lens import Intrinsics, rays, without_flying_points
from ldfusion_models.rig.rig import Frame
from ldfusion_training.data.pairs import Image8
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet, side_view, view_from_above

CELL = (480, 360)
# Depth that changes more between neighbours is an outline, not a surface.
FLYING_STEP = 0.1
NEAREST_RANGE, FARTHEST_RANGE = 5.0, 60.0


def cloud_sheet(frame: Frame, focal: float) -> Image8:
    """Fused image and depth above, the cloud without flying points from above and from the side below.

    Args:
        frame: with the camera's rays, if it is known.
        focal: in pixels, for a camera that is not; its optical axis is in the middle of the image.
    """
    fused, depth = frame.fused, frame.depth
    height, width = depth.shape
    directions = frame.rays()
    if directions is None:
        directions = rays(Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2))
    points = without_flying_points(depth, FLYING_STEP)[..., None] * directions
    known = depth[np.isfinite(depth)]
    farthest = float(np.clip(np.percentile(known, 90), NEAREST_RANGE, FARTHEST_RANGE)) if known.size else NEAREST_RANGE
    views = [
        view_from_above(points, fused, *CELL, farthest),
        side_view(points, fused, *CELL),
    ]
    colours = colour_depth(depth, DepthScale.covering([depth]))
    rows = [Row('fused image and depth', [fused, colours]), Row('cloud from above, and from the right', views)]
    return contact_sheet(['', ''], rows, CELL)
