"""Aligned pairs of visible and thermal images, from the folder layouts of the public data sets.

| layout | visible | thermal | notes |
|---|---|---|---|
| ``plain`` | ``visible/`` or ``vi/`` | ``thermal/`` or ``ir/`` | also TNO, and samples of the others |
| ``split`` | ``SPLIT/vi/`` | ``SPLIT/ir/`` | MSRS |
| ``llvip`` | ``visible/SPLIT/`` | ``infrared/SPLIT/`` | LLVIP |
| ``roadscene`` | ``crop_LR_visible/`` | ``cropinfrared/`` | RoadScene as published |
| ``m3fd`` | ``Vis/`` | ``Ir/`` | M3FD |
| ``kaist`` | ``setNN/VNNN/visible/`` | ``setNN/VNNN/lwir/`` | KAIST multispectral |

Two files are a pair if their names without ending are equal. SPLIT is ``train``, ``test`` or what the data set
calls its parts; layouts without it ignore the split.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_grey8, as_rgb8
from ldfusion_models.camera.thermal import GainControl
from ldfusion_models.choices import IMAGE_SUFFIXES
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image

Faults = Literal['refuse', 'skip']
Image8 = npt.NDArray[np.uint8]
Checked = TypeVar('Checked')
Item = TypeVar('Item')

_LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {
    'plain': (('visible', 'thermal'), ('vi', 'ir')),
    'split': (('{split}/vi', '{split}/ir'),),
    'llvip': (('visible/{split}', 'infrared/{split}'),),
    'roadscene': (('crop_LR_visible', 'cropinfrared'),),
    'm3fd': (('Vis', 'Ir'),),
    'kaist': (('set*/V*/visible', 'lwir'),),
}
LAYOUTS = ('auto', *_LAYOUTS)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """One aligned pair: ``visible`` (H, W, 3) RGB uint8, ``thermal`` (H, W) uint8."""

    visible: Image8
    thermal: Image8


@dataclass(frozen=True)
class PairSource:
    """The two files of one pair; ``name`` is unique within its data set."""

    name: str
    visible: Path
    thermal: Path

    def read(self) -> Pair:
        """Decode both images; 16-bit thermal images go through the gain control, each by itself.

        Raises:
            InputError: unreadable, or of two sizes.
        """
        visible = as_rgb8(read_image(self.visible))
        thermal = as_thermal8(read_image(self.thermal))
        if visible.shape[:2] != thermal.shape:
            raise InputError(
                f'{self.thermal}: {thermal.shape[1]}x{thermal.shape[0]} pixels, but {self.visible} has '
                f'{visible.shape[1]}x{visible.shape[0]}; the images of an aligned pair have one size'
            )
        return Pair(visible, thermal)


@dataclass(frozen=True)
class PairSet:
    """The readable pairs of a data set, and one line for each file that was skipped."""

    pairs: tuple[PairSource, ...]
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairSource:
        return self.pairs[index]


def as_thermal8(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> Image8:
    """Grey (H, W) uint8 of a thermal image stored as grey or as three equal channels, 8 or 16 bits."""
    return as_grey8(image, GainControl())


def open_pairs(path: Path, layout: str = 'auto', split: str = 'train', faults: Faults = 'refuse') -> PairSet:
    """Find the pairs of the data set in ``path`` and check that each can be read.

    Args:
        path: the data set's folder.
        layout: one of ``LAYOUTS`` (table above); ``auto`` takes the one whose folders are there.
        split: sub-folder of the layouts that have one.
        faults: ``refuse`` raises at the first unreadable or unpaired file; ``skip`` leaves it out, logs and counts it.

    Raises:
        InputError: unknown layout, no such folders, no pair left, or, with ``refuse``, any faulty file.
    """
    folders = _find_folders(path, layout, split)
    sources: list[PairSource] = []
    skipped: list[str] = []
    for visible, thermal in folders:
        prefix = '' if len(folders) == 1 else f'{visible.parent.relative_to(path).as_posix()}/'
        found, unpaired = _match(visible, thermal, prefix)
        sources += found
        skipped += unpaired
    if skipped and faults == 'refuse':
        raise InputError(f'{skipped[0]} ({len(skipped)} such files)')
    readable, unreadable = check_each(sources, PairSource.read, faults)
    skipped += unreadable
    if not readable:
        raise InputError(f'{path}: no readable pair of images ({len(skipped)} files skipped)')
    if skipped:
        _log.warning('%s: %d files skipped, %d pairs left; first: %s', path, len(skipped), len(readable), skipped[0])
    return PairSet(tuple(readable), tuple(skipped))


def check_each(
    sources: Iterable[Checked], read: Callable[[Checked], object], faults: Faults
) -> tuple[list[Checked], list[str]]:
    """Those sources that ``read`` takes, and the messages of those that it doesn't.

    Raises:
        InputError: the first failure, unless faults are skipped.
    """

    def message(source: Checked) -> str | None:
        try:
            read(source)
        except InputError as error:
            return str(error)
        return None

    readable, skipped = [], []
    listed = list(sources)
    # Decoding leaves the interpreter's lock, so threads do help.
    with ThreadPoolExecutor() as pool:
        for source, fault in zip(listed, pool.map(message, listed), strict=True):
            if fault is None:
                readable.append(source)
            elif faults == 'refuse':
                pool.shutdown(cancel_futures=True)
                raise InputError(fault)
            else:
                skipped.append(fault)
    return readable, skipped


def read_each(sources: Iterable[Checked], read: Callable[[Checked], Item], faults: Faults) -> list[Item]:
    """What ``read`` makes of each source; those that it can't read are left out and logged.

    Raises:
        InputError: the first failure, unless faults are skipped.
    """

    def item(source: Checked) -> Item | None:
        try:
            return read(source)
        except InputError as error:
            if faults == 'refuse':
                raise
            _log.warning('skipped: %s', error)
            return None

    # Decoding leaves the interpreter's lock.
    with ThreadPoolExecutor(2) as pool:
        return [each for each in pool.map(item, sources) if each is not None]


def images_by_name(folder: Path) -> dict[str, Path]:
    """The folder's images by name without ending; empty if there is no such folder."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}


def _find_folders(path: Path, layout: str, split: str) -> list[tuple[Path, Path]]:
    if layout not in LAYOUTS:
        raise InputError(f'layout {layout!r} is unknown; choose one of {", ".join(LAYOUTS)}')
    if not path.is_dir():
        raise InputError(f'{path}: no such folder')
    tried = _LAYOUTS if layout == 'auto' else {layout: _LAYOUTS[layout]}
    for patterns in tried.values():
        for visible, thermal in patterns:
            found = _existing(path, visible.format(split=split), thermal.format(split=split))
            if found:
                return found
    wanted = [f'{visible} + {thermal}' for patterns in tried.values() for visible, thermal in patterns]
    raise InputError(f'{path}: no folders of pairs there; wanted {", or ".join(wanted)} (split {split!r})')


def _existing(path: Path, visible: str, thermal: str) -> list[tuple[Path, Path]]:
    if '*' in visible:
        return [(found, found.with_name(thermal)) for found in sorted(path.glob(visible)) if found.is_dir()]
    folders = (path / visible, path / thermal)
    has_images = all(images_by_name(folder) for folder in folders)
    return [folders] if has_images else []


def _match(visible: Path, thermal: Path, prefix: str) -> tuple[list[PairSource], list[str]]:
    visible_by_name, thermal_by_name = images_by_name(visible), images_by_name(thermal)
    common = sorted(visible_by_name.keys() & thermal_by_name.keys())
    pairs = [PairSource(prefix + name, visible_by_name[name], thermal_by_name[name]) for name in common]
    unpaired = [(path, thermal) for name, path in visible_by_name.items() if name not in thermal_by_name]
    unpaired += [(path, visible) for name, path in thermal_by_name.items() if name not in visible_by_name]
    return pairs, [f'{path}: no image of that name in {folder}' for path, folder in unpaired]
