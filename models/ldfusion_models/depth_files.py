"""Depth as files: 16-bit PNG, 32-bit TIFF or NPZ."""

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.choices import DepthFormat
from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image, written_whole

Depth = npt.NDArray[np.float32]
UNKNOWN, BEYOND = 0, 65535


def write_depth(
    folder: Path, name: str, depth: Depth, form: DepthFormat = 'png', units_per_metre: float = 1000.0
) -> Path:
    """Write depth (H, W) in metres to ``folder/name.FORM``, whole or not at all.

    Args:
        folder, name: where; ``name`` has no ending.
        depth: NaN, or not positive, where unknown.
        form: see ``DepthFormat``.
        units_per_metre: of the 16 bits: 1000 ends at 65.5 m, 256 (KITTI) at 256 m.

    Raises:
        InputError: no such form, or the file can't be written.
    """
    if form not in get_args(DepthFormat):
        raise InputError(f'depth format {form!r} is unknown; choose {", ".join(get_args(DepthFormat))}')
    path = folder / f'{name}.{form}'
    if form == 'png':
        write_image(path, depth_to_units(depth, units_per_metre))
        return path
    metres = np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)
    with written_whole(path) as temporary:
        if form == 'npz':
            with temporary.open('wb') as file:
                np.savez_compressed(file, depth=metres)
        else:
            temporary.write_bytes(cv2.imencode('.tiff', metres)[1].tobytes())
    return path


def depth_to_units(depth: Depth, units_per_metre: float, beyond: int = BEYOND) -> npt.NDArray[np.uint16]:
    """Depth (H, W) in metres as 16 bits: ``UNKNOWN`` where it is not known, ``beyond`` where they do not reach."""
    known = np.isfinite(depth) & (depth > 0)
    units = np.round(np.where(known, depth, 0) * units_per_metre)
    return np.where(known, np.where(units < BEYOND, np.maximum(units, 1), beyond), UNKNOWN).astype(np.uint16)


def read_float_depth(path: Path) -> Depth:
    """Depth (H, W) in metres from a 32-bit TIFF, an ``.npz`` or an ``.npy`` file; NaN where unknown.

    Raises:
        InputError: missing, unreadable, or not floats of that shape.
    """
    try:
        if path.suffix in ('.tif', '.tiff'):
            stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        else:
            stored = np.load(path, allow_pickle=False)
            stored = stored['depth'] if path.suffix == '.npz' else stored
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError, EOFError, KeyError, cv2.error) as error:
        raise InputError(f'{path}: not a readable array ({error})') from error
    if stored is None or stored.ndim != 2 or not np.issubdtype(stored.dtype, np.floating):
        what = 'no image' if stored is None else f'{stored.dtype} of shape {stored.shape}'
        raise InputError(f'{path}: {what}; depth arrays are float metres (H, W)')
    depth: Depth = np.asarray(stored, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
