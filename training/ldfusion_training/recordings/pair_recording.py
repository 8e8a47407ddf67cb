"""A recording as two aligned cameras would have made it, from image files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.recordings.bags import SECOND, BagWriter, Transform

CAMERAS = ('visible', 'thermal')
# Any date does; a fixed one makes recordings of the same images equal.
START_NS = 1_700_000_000 * SECOND
# REP 103: optical frames look along z with y down, bodies along x with z up.
BODY_T_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class RecordingConfig:
    """Settings of a recording.

    Attributes:
        rate_hz: pairs per second.
        field_of_view: horizontal, in degrees, of both cameras.
        size: width and height that all images are brought to; None keeps theirs, which must then be equal.
    """

    rate_hz: float = 10.0
    field_of_view: float = 50.0
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 1e-3 <= self.rate_hz <= 1e6:
            raise InputError(f'rate {self.rate_hz:g}; it must be between 0.001 and a million pairs per second')
        if not 0 < self.field_of_view < 180:
            raise InputError(f'field of view {self.field_of_view:g} degrees; it must be between 0 and 180')


def record_pairs(pairs: Iterable[tuple[Path, Path]], recording: Path, config: RecordingConfig) -> None:
    """Write files of visible and thermal images as the recording of an aligned rig.

    Raises:
        InputError: an image can't be read or differs in size, or the recording exists already or can't be written.
    """
    sizes: dict[str, tuple[int, int]] = {}
    with BagWriter(recording) as bag:
        bag.write_transforms(START_NS, rig_transforms(), static=True)
        for index, paths in enumerate(pairs):
            stamp_ns = START_NS + round(index * SECOND / config.rate_hz)
            for camera, path in zip(CAMERAS, paths, strict=True):
                image = read_image(path)
                if camera == 'visible' and image.dtype == np.uint16:
                    image = as_rgb8(image)
                if config.size is not None:
                    image = cover(image, *config.size)
                height, width = image.shape[:2]
                if sizes.setdefault(camera, (width, height)) != (width, height):
                    first_width, first_height = sizes[camera]
                    raise InputError(
                        f'{path}: {width}x{height}, but the images before are {first_width}x{first_height}; '
                        f'a camera has one size: add --size {first_width}x{first_height}'
                    )
                frame_id = f'{camera}_optical_frame'
                intrinsics = Intrinsics.from_field_of_view(width, height, config.field_of_view)
                bag.write_camera_info(f'/{camera}/camera_info', stamp_ns, frame_id, intrinsics)
                bag.write_image(f'/{camera}/image_raw', stamp_ns, frame_id, image)


def common_size(pairs: Iterable[tuple[Path, Path]]) -> tuple[int, int] | None:
    """A size that all visible images can be brought to without enlarging; None if they are equal already.

    Raises:
        InputError: an image can't be read.
    """
    sizes = {read_image(visible).shape[1::-1] for visible, _ in pairs}
    return None if len(sizes) == 1 else (min(width for width, _ in sizes), min(height for _, height in sizes))


def rig_transforms() -> list[Transform]:
    """Both cameras at the origin of ``base_link``, looking ahead: aligned images have no baseline."""
    return [Transform('base_link', f'{camera}_optical_frame', BODY_T_OPTICAL) for camera in CAMERAS]


def cover(image: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    """Scale (H, W) or (H, W, C) with its proportions kept to cover ``width`` x ``height``; cut evenly what is over."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return scaled[top : top + height, left : left + width]
