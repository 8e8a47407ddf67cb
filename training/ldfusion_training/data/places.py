"""Which place an image shows, told from its name: what was taken at one place must not be on both sides of a split."""

import re
from pathlib import Path

# Names that end in a number are frames of one drive, site or camera, but for these, which are pictures of their own.
SINGLE = re.compile(r'(object|test)_\d+$')
FRAME_NUMBER = re.compile(r'_\d+$')


def place_of(name: str) -> str:
    """The place of a sample: ``drive0009`` of ``drive0009_012``, ``object_000003`` of itself."""
    return name if SINGLE.match(name) else FRAME_NUMBER.sub('', name)


def folder_and_pattern(named: str) -> tuple[Path, str]:
    """``FOLDER`` or ``FOLDER:PATTERN`` as recipes name the samples of a data set."""
    folder, colon, pattern = named.rpartition(':')
    return (Path(folder), pattern) if colon else (Path(pattern), '*')
