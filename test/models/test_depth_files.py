"""Depth files: what is unknown and what is beyond range stay apart, and 32 bits keep every value."""

from pathlib import Path

import numpy as np
import pytest

from ldfusion_models.depth_files import depth_to_units, read_float_depth, write_depth
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image

DEPTH = np.array([[0.0004, 1.2345, 65.534], [70.0, np.nan, -1.0]], np.float32)


def test_sixteen_bits_tell_beyond_range_from_unknown(tmp_path: Path) -> None:
    stored = read_image(write_depth(tmp_path, 'a', DEPTH))
    np.testing.assert_array_equal(stored, [[1, 1234, 65534], [65535, 0, 0]])
    coarser = read_image(write_depth(tmp_path, 'b', DEPTH, units_per_metre=256.0))
    np.testing.assert_array_equal(coarser[1], [70 * 256, 0, 0])
    np.testing.assert_array_equal(depth_to_units(DEPTH, 1000.0, 0), [[1, 1234, 65534], [0, 0, 0]])


@pytest.mark.parametrize('form', ['tiff', 'npz'])
def test_floats_come_back_as_they_were(form: str, tmp_path: Path) -> None:
    path = write_depth(tmp_path, 'a', DEPTH, form)
    assert path == tmp_path / f'a.{form}'
    np.testing.assert_array_equal(read_float_depth(path), np.where(DEPTH > 0, DEPTH, np.nan))


def test_other_formats_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='exr'):
        write_depth(tmp_path, 'a', DEPTH, 'exr')  # type: ignore[arg-type]
    for ending in ('tiff', 'npz', 'npy'):
        path = tmp_path / f'b.{ending}'
        path.write_bytes(b'nothing')
        with pytest.raises(InputError, match=path.name):
            read_float_depth(path)
