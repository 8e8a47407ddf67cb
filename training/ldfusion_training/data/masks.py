"""Images with labels instead of depth. They say what depth can't be: the sky is beyond range, ground is one smooth
surface, and a thing is as far as the ground on which it stands.

Images ``vi/X.*``, labels ``label/X.png`` (8 bits, a number for each class), as IDD-Lite and CamVid come.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.pairs import Image8, images_by_name

Roles = npt.NDArray[np.uint16]
# What a pixel is for depth; kinds of things follow, each with a number of its own.
OTHER, SKY, GROUND, THINGS = range(4)
# Smaller things are as likely to be mistakes of the labels' borders.
SMALLEST_THING = 40


@dataclass(frozen=True)
class MaskedSetConfig:
    """A folder of labelled images, and what its numbers mean.

    Attributes:
        folder: holds ``vi`` and ``label``.
        sky, ground: numbers of what is beyond range, and of what one drives and walks on.
        things: numbers of what stands on it: people, vehicles.
    """

    folder: str
    sky: tuple[int, ...] = ()
    ground: tuple[int, ...] = ()
    things: tuple[int, ...] = ()


@dataclass(frozen=True)
class MaskedImage:
    """``image`` (H, W, 3) RGB uint8 and ``roles`` (H, W): what each pixel is."""

    image: Image8
    roles: Roles


def read_masked(config: MaskedSetConfig) -> list[MaskedImage]:
    """All images of a folder that have labels.

    Raises:
        InputError: no such folder, none with labels, or a label of another size or not 8 bits.
    """
    folder = Path(config.folder)
    if not (folder / 'vi').is_dir() or not (folder / 'label').is_dir():
        raise InputError(f'{folder}: no folders vi and label')
    images, labels = images_by_name(folder / 'vi'), images_by_name(folder / 'label')
    names = sorted(images.keys() & labels.keys())
    if not names:
        raise InputError(f'{folder}: no image in vi has a label of its name')
    role_of = np.full(256, OTHER, np.uint16)
    role_of[list(config.sky)], role_of[list(config.ground)] = SKY, GROUND
    role_of[list(config.things)] = np.arange(THINGS, THINGS + len(config.things))
    return [_read(images[name], labels[name], role_of) for name in names]


def feet(roles: Roles) -> npt.NDArray[np.int64]:
    """Where each thing meets the ground (H, W): of its pixels the flat index of the ground pixel below its lowest one.

    -1 elsewhere, and where a thing meets no ground or leaves the image. A thing that is wider than high may be several
    in a row, each farther than the one before: of such only what is above the lowest point counts.
    """
    height, width = roles.shape
    found = np.full(roles.shape, -1, np.int64)
    for kind in range(THINGS, int(roles.max()) + 1):
        count, parts, boxes, _ = cv2.connectedComponentsWithStats((roles == kind).astype(np.uint8))
        for part in range(1, count):
            left, top, box_width, box_height, area = boxes[part]
            below = top + box_height
            if area < SMALLEST_THING or below >= height:
                continue
            columns = left + np.flatnonzero(parts[below - 1, left : left + box_width] == part)
            foot = int(columns[len(columns) // 2])
            if roles[below, foot] != GROUND:
                continue
            reach = slice(max(left, foot - box_height // 2), min(left + box_width, foot + box_height // 2 + 1))
            view = np.s_[top:below, reach]
            found[view][parts[view] == part] = below * width + foot
    return found


def _read(image: Path, label: Path, role_of: Roles) -> MaskedImage:
    shown, numbers = as_rgb8(read_image(image)), read_image(label)
    if numbers.dtype != np.uint8 or numbers.shape != shown.shape[:2]:
        raise InputError(f'{label}: {numbers.dtype} of shape {numbers.shape}; {image} needs uint8 of {shown.shape[:2]}')
    return MaskedImage(shown, role_of[numbers])
