"""Colour encodings of raw drivers: a known picture, stored by a plain reading of each format, comes back."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from raw_formats import DEEP, STORED, patches

from ldfusion_models.camera.encodings import decode_compressed, decode_raw
from ldfusion_models.errors import InputError


def inside(picture: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Without the pixels near the patches' borders, which demosaicing mixes."""
    return picture.reshape(2, 32, 3, 32, 3)[:, 4:-4, :, 4:-4]


@pytest.mark.parametrize('encoding', STORED)
def test_colours_of_8_bits_are_those_of_the_picture(encoding: str) -> None:
    bytes_per_pixel, store = STORED[encoding]
    decoded = decode_raw(encoding, 64, 96, 96 * bytes_per_pixel, store(patches()))
    assert (decoded.dtype, decoded.shape) == (np.uint8, (64, 96, 3))
    assert np.abs(inside(decoded).astype(int) - inside(patches())).max() <= 3


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('encoding', DEEP)
def test_colours_of_16_bits_are_those_of_the_picture(encoding: str, big_endian: bool) -> None:
    bytes_per_pixel, store = DEEP[encoding]
    deep = patches().astype(np.uint16) * 257
    decoded = decode_raw(
        encoding, 64, 96, 96 * bytes_per_pixel, store(deep.astype('>u2' if big_endian else '<u2')), big_endian
    )
    assert (decoded.dtype, decoded.shape) == (np.uint16, (64, 96, 3))
    assert np.array_equal(inside(decoded), inside(deep))


@pytest.mark.parametrize('big_endian', [False, True])
def test_signed_counts_keep_their_sign(big_endian: bool) -> None:
    counts = np.arange(-6, 6, dtype='>i2' if big_endian else '<i2').reshape(3, 4)
    decoded = decode_raw('16SC1', 3, 4, 8, counts.tobytes(), big_endian)
    assert decoded.dtype == np.int16
    assert np.array_equal(decoded, counts)


@pytest.mark.parametrize('shape', [(16, 16), (16, 16, 3), (16, 16, 4)])
@pytest.mark.parametrize('kind', ['i1', 'i2', 'i4', 'u1', 'u2', 'f4', 'f8'])
def test_a_tiff_of_any_numbers_is_an_image_or_refused(kind: str, shape: tuple[int, ...]) -> None:
    _, stored = cv2.imencode('.tiff', np.ones(shape, kind))
    if kind in ('u1', 'u2') or (len(shape) == 2 and kind in ('i2', 'f4')):
        assert decode_compressed(stored.tobytes()).dtype == kind
    else:
        with pytest.raises(InputError, match='can be read'):
            decode_compressed(stored.tobytes())


@pytest.mark.parametrize(
    ('encoding', 'width', 'height'), [('yuv422', 3, 2), ('nv12', 4, 3), ('bayer_rggb8', 3, 2), ('bayer_rggb8', 1, 1)]
)
def test_sizes_that_a_format_cannot_have_are_refused(encoding: str, width: int, height: int) -> None:
    with pytest.raises(InputError, match=f'{width}x{height} pixels can not be {encoding}'):
        decode_raw(encoding, height, width, 2 * width, bytes(100))
