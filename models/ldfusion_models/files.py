"""Files that are whole or absent, and images in the orders and types this project uses."""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from ldfusion_models.choices import IMAGE_SUFFIXES
from ldfusion_models.errors import InputError

# LibYAML's where PyYAML was built with it: the same values, many times as fast.
SAFE_LOADER: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def data_folder(package_file: str, name: str) -> Path:
    """The folder ``name`` that comes with a package: inside of it where it is installed, beside it in the checkout."""
    package = Path(package_file).resolve().parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffix); it is renamed to ``path`` only if the block succeeds.

    Raises:
        InputError: the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}.', suffix=path.suffix)
    except OSError as error:
        raise InputError(f'{path}: cannot write there ({error.strerror})') from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are for everybody the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` to fill; it is renamed to ``path`` only if the block succeeds.

    Raises:
        InputError: ``path`` exists already, or can't be written.
    """
    if path.exists():
        raise InputError(f'{path}: exists already; remove it or choose another name')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        outer = Path(tempfile.mkdtemp(dir=path.parent, prefix=f'.{path.name}.'))
    except OSError as error:
        raise InputError(f'{path}: cannot write there ({error.strerror})') from error
    try:
        inner = outer / path.name
        inner.mkdir()
        yield inner
        inner.rename(path)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def copy_file(source: str, target: str) -> str:
    """Copy a file, for ``shutil.copytree``, which would go on after a full disk; raises InputError if it can't."""
    try:
        return str(shutil.copy2(source, target))
    except OSError as error:
        raise InputError(f'{target}: cannot be written ({error.strerror})') from error


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def list_images(source: Path) -> list[Path]:
    """The image itself if ``source`` is a file, else the folder's images, sorted by name.

    Raises:
        InputError: ``source`` does not exist, or the folder holds no image or two of one name.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f'{source}: no such file or folder')
    images = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise InputError(f'{source}: holds no image ({", ".join(IMAGE_SUFFIXES)})')
    names = Counter(path.stem for path in images)
    twice = next((path for path in images if names[path.stem] > 1), None)
    if twice:
        raise InputError(f'{twice}: another image there has that name but for its ending; results would be mixed up')
    return images


def match_pairs(visible: Path, thermal: Path) -> list[tuple[Path, Path]]:
    """Pair visible and thermal images by file name without its ending; two files are always a pair.

    Raises:
        InputError: something is missing, or a name has no partner.
    """
    if visible.is_file() and thermal.is_file():
        return [(visible, thermal)]
    by_name = {path.stem: path for path in list_images(thermal)}
    images = list_images(visible)
    unpaired = [path for path in images if path.stem not in by_name]
    unpaired += [path for stem, path in by_name.items() if stem not in {image.stem for image in images}]
    if unpaired:
        raise InputError(f'{unpaired[0]}: no image of that name in the other folder ({len(unpaired)} without partner)')
    return [(path, by_name[path.stem]) for path in images]


def read_image(path: Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read an image as (H, W) grey or (H, W, 3) RGB, uint8 or uint16 as stored.

    Raises:
        InputError: missing, unreadable, or of another type.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    try:
        image: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) if path.stat().st_size else None
    except cv2.error as error:
        raise InputError(f'{path}: cannot be decoded, or promises too many pixels ({error.err})') from error
    if image is None:
        raise InputError(f'{path}: not a readable image')
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'{path}: {image.dtype} pixels; 8 or 16 bits are needed')
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = image
    return pixels


def write_image(path: Path, image: npt.NDArray[Any]) -> None:
    """Write (H, W) grey or (H, W, 3) RGB, of a type that the format holds, whole or not at all.

    Raises:
        InputError: the file can't be written.
    """
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        is_encoded, data = cv2.imencode(path.suffix, stored)
    except cv2.error:  # an ending that OpenCV doesn't know
        is_encoded = False
    if not is_encoded:
        raise InputError(
            f'{path}: cannot be written as an image; its ending must be one of {", ".join(IMAGE_SUFFIXES)}'
        )
    # Not by imwrite, which may miss that the disk is full.
    with written_whole(path) as temporary:
        try:
            temporary.write_bytes(data.tobytes())
        except OSError as error:
            raise InputError(f'{path}: cannot write there ({error.strerror})') from error


def read_yaml(path: Path) -> Any:
    """What a YAML file says.

    Raises:
        InputError: it can't be read, or is no YAML.
    """
    try:
        return yaml.load(path.read_text(encoding='utf-8'), SAFE_LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
        raise InputError(f'{path}: cannot be read as YAML ({reason})') from error
