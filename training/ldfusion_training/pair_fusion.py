"""Single pairs of a rig: registered, then fused."""

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.registration import Registrar
from ldfusion_models.rig.pipeline import FusionResult, Pipeline


def fuse_pair(
    pipeline: Pipeline,
    registrar: Registrar | None,
    visible: AnyImage,
    thermal: AnyImage,
    focal: float | None,
    text: npt.NDArray[np.float32] | None = None,
) -> FusionResult:
    """Fuse a pair after it was registered; both results are in the pixels of the registered visible image.

    A registration by depth takes two rounds: the depth that the first one, with a plane, sees is the second's geometry.

    Args:
        pipeline: whose gain control keeps nothing from pair to pair.
        registrar: brings the images together; None if they are aligned.
        visible: (H, W, 3) RGB or (H, W) grey.
        thermal: (h, w) or (h, w, 3).
        focal: horizontal focal length of the visible image in pixels; None takes the registration's.
        text: (D,) embedding, or None for none.

    Raises:
        InputError: images that the networks can't take.
    """
    if registrar is None:
        return pipeline(visible, thermal, text, focal)
    depth = None
    while True:
        pair = registrar(visible, thermal, depth)
        known = focal or (pair.camera.fx if pair.camera else None)
        result = pipeline(pair.visible, pair.thermal, text, known, coverage=pair.coverage)
        if registrar.registration.geometry != 'depth' or depth is not None:
            return result
        depth = result.depth
