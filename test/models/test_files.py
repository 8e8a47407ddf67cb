"""Image files that promise more than they hold."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest


def png_that_promises(width: int, height: int) -> bytes:
    """A few bytes of PNG: 8-bit grey, one row of compressed data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'\0')) + chunk(b'IEND', b'')


@pytest.mark.parametrize('package', ['ldfusion_models.files', 'ldfusion_training.cli'])
def test_a_picture_of_too_many_pixels_is_refused_offline(package: str, tmp_path: Path) -> None:
    """In a process of its own, for OpenCV reads its limit once."""
    path = tmp_path / 'bomb.png'
    path.write_bytes(png_that_promises(20_000, 20_000))
    code = (
        f'import {package}; from pathlib import Path; from ldfusion_models.files import read_image;'
        f'read_image(Path({str(path)!r}))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'InputError' in done.stderr
    assert 'too many pixels' in done.stderr
