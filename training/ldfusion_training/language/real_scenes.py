"""What is known of real images: KITTI's object labels, and pairs of which somebody knows where they were taken.

KITTI's object labels are one line for each object: class, truncation, occlusion, angle, box in the image (left, top,
right, bottom), height, width and length in metres, position of its foot (x right, y down, z ahead) in metres, and its
turn about the vertical, 0 when its length lies across the view. They lie beside the images in one of two layouts:

``sample``
    images ``vi/X.*``, labels ``label/X.txt``, cameras ``camera/X.json``
``kitti``
    images ``image_2/X.png``, labels ``label_2/X.txt``, calibration ``calib/X.txt``: a part of KITTI's object set
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.depth import read_camera
from ldfusion_training.data.pairs import Image8, PairSource, images_by_name, open_pairs, read_each
from ldfusion_training.language.facts import LIGHTS, PLACES, WEATHERS
from ldfusion_training.language.scenes import HEIGHT, WIDTH, LabelledScene, SceneObject

# KITTI's classes as captions name them; Tram, Misc and DontCare have no name here.
KITTI_CLASSES = {
    'Car': 'car', 'Van': 'car', 'Truck': 'truck', 'Pedestrian': 'person', 'Person_sitting': 'person',
    'Cyclist': 'bicycle',
}  # fmt: skip
# Images, labels and cameras of each layout.
KITTI_LAYOUTS = (('vi', 'label', 'camera'), ('image_2', 'label_2', 'calib'))
NEAREST_M = 0.5


@dataclass(frozen=True)
class KittiObject:
    """One object: class as captions name it, box in pixels, and distance in metres of its near side."""

    name: str
    left: float
    top: float
    right: float
    bottom: float
    distance_m: float


@dataclass(frozen=True)
class KittiFrame:
    """The files of one labelled image; the camera is JSON, or a KITTI calibration."""

    name: str
    image: Path
    labels: Path
    camera: Path

    def windows(self) -> list[LabelledScene]:
        """Views of the captioner's shape, side by side over the wide image.

        Raises:
            InputError: image, labels or camera are missing or damaged.
        """
        image, focal = as_rgb8(read_image(self.image)), _focal(self.camera)
        numbers, objects = _paint(read_kitti_labels(self.labels), (image.shape[1], image.shape[0]))
        height, width = image.shape[:2]
        side = min(width, round(height * WIDTH / HEIGHT))
        count = math.ceil(width / side)
        lefts = [round(part * (width - side) / max(1, count - 1)) for part in range(count)]
        return [
            _scene(f'{self.name}/{left}', image[:, left : left + side], numbers[:, left : left + side], objects, focal)
            for left in lefts
        ]


def open_kitti(folder: Path) -> list[KittiFrame]:
    """The labelled images of a folder.

    Raises:
        InputError: it has neither layout, no labels, or a label without image or camera.
    """
    for images, labels, cameras in KITTI_LAYOUTS:
        files = sorted((folder / labels).glob('*.txt'))
        if not files:
            continue
        found = images_by_name(folder / images)
        ending = '.json' if cameras == 'camera' else '.txt'
        absent = [file for file in files if file.stem not in found]
        if absent:
            raise InputError(f'{absent[0]}: no image of that name in {folder / images}')
        return [
            KittiFrame(file.stem, found[file.stem], file, folder / cameras / f'{file.stem}{ending}') for file in files
        ]
    raise InputError(f'{folder}: no labels; wanted {" or ".join(f"{layout[1]}/X.txt" for layout in KITTI_LAYOUTS)}')


def read_kitti_scenes(folders: Sequence[str | Path]) -> list[LabelledScene]:
    """All labelled images of KITTI folders as visible scenes: streets, by day, in clear weather.

    Raises:
        InputError: as ``open_kitti``.
    """
    frames = [frame for folder in folders for frame in open_kitti(Path(folder))]
    return [scene for scenes in read_each(frames, KittiFrame.windows, 'skip') for scene in scenes]


def read_kitti_labels(path: Path) -> list[KittiObject]:
    """The objects of a label file that captions have a name for.

    Raises:
        InputError: unreadable, or not of that form.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        return [_kitti_object(fields) for fields in lines if fields[0] in KITTI_CLASSES]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f'{path}: not readable as KITTI object labels ({error})') from error


def _kitti_object(fields: list[str]) -> KittiObject:
    left, top, right, bottom, _, width, length, _, _, ahead, turn = (float(number) for number in fields[4:15])
    # The position is of its middle; what one sees is its near side.
    half = (length * abs(math.sin(turn)) + width * abs(math.cos(turn))) / 2
    return KittiObject(KITTI_CLASSES[fields[0]], left, top, right, bottom, max(NEAREST_M, ahead - half))


def _focal(path: Path) -> float:
    """Focal length in pixels: of a camera file, or of the left colour camera in a KITTI calibration."""
    if path.suffix == '.json':
        return read_camera(path).fx
    try:
        lines = dict(line.split(':', 1) for line in path.read_text(encoding='utf-8').splitlines() if ':' in line)
        return float(lines['P2'].split()[0])
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f'{path}: needs the line P2 of a KITTI calibration') from error


def _paint(
    labels: Sequence[KittiObject], size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint16], tuple[SceneObject, ...]]:
    """Instances (H, W) for an image of ``size`` (width, height), nearer boxes over farther ones, and what they are."""
    numbers = np.zeros(size[::-1], np.uint16)
    objects = []
    for number, each in enumerate(sorted(labels, key=lambda each: -each.distance_m), start=1):
        rows, columns = slice(round(each.top), round(each.bottom) + 1), slice(round(each.left), round(each.right) + 1)
        numbers[rows, columns] = number
        objects.append(SceneObject(each.name, each.distance_m, number, False, True, False))
    return numbers, tuple(objects)


def _scene(
    name: str,
    image: Image8,
    numbers: npt.NDArray[np.uint16],
    objects: tuple[SceneObject, ...],
    focal: float,
) -> LabelledScene:
    instances = cv2.resize(numbers.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST_EXACT)
    focal *= WIDTH / image.shape[1]
    scene = LabelledScene(name, _small(image), None, 'street', 'day', 'clear', known='moving')
    return replace(scene, instances=instances.astype(np.uint16), objects=objects, focal=focal)


@dataclass(frozen=True)
class KnownPlace:
    """A folder of real pairs without labels, and what is true of all of them; empty if it is not known."""

    folder: str
    place: str
    light: str = ''
    weather: str = ''

    def __post_init__(self) -> None:
        """Raises InputError for a word that captions don't have."""
        for name, known in (('place', PLACES), ('light', ('', *LIGHTS)), ('weather', ('', *WEATHERS))):
            if (value := getattr(self, name)) not in known:
                raise InputError(f'{self.folder}: {name} {value!r} is unknown; choose one of {", ".join(known)}')


def read_known_places(known: KnownPlace) -> list[LabelledScene]:
    """All pairs of a folder as scenes without labels; raises InputError as ``open_pairs``."""

    def scene(source: PairSource) -> LabelledScene:
        pair = source.read()
        thermal = cv2.resize(pair.thermal, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        facts = known.place, known.light, known.weather
        return LabelledScene(source.name, _small(pair.visible), np.asarray(thermal, np.uint8), *facts, known='place')

    return read_each(open_pairs(Path(known.folder), faults='skip').pairs, scene, 'skip')


def _small(image: Image8) -> Image8:
    return np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
