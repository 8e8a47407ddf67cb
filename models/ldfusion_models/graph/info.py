"""What a caller must know of a frame graph."""

from dataclasses import dataclass
from typing import get_args

from ldfusion_models.choices import DepthSource

DEPTH_SOURCES = get_args(DepthSource)


@dataclass(frozen=True)
class GraphInfo:
    """What a caller must know of the graph that an engine runs.

    Attributes:
        text_dim: length D of the text embedding.
        text_encoder: name of the encoder whose embeddings the modulation was trained on; empty if none was.
        canonical_focal: focal length in pixels for which depth comes out in metres; a camera with focal length
            f pixels at the graph's input size multiplies depth by ``f / canonical_focal``; 0 where depth is in metres
            whatever the camera.
        weights_id: first 12 digits of the sha256 over the weights' sha256 sums.
        size: width and height of the images, if the graph takes no others.
        depth: the published network that estimates depth, and of which image; empty for the package's own.
    """

    text_dim: int
    text_encoder: str
    canonical_focal: float
    weights_id: str
    size: tuple[int, int] | None = None
    depth: str = ''
