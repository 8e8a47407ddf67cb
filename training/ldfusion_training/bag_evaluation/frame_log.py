"""The measures of a recording's frames, written line by line, so that an interrupted evaluation can go on."""

import json
import math
from itertools import takewhile
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError

Row = dict[str, Any]


class FrameLog:
    """A file with one JSON object a line; a last line that is not whole is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        """Open a file, new or from before.

        Raises:
            InputError: it can't be written.
        """
        lines = _whole_lines(path)
        self.rows = [_row(line) for line in lines]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open('ab')
            self._file.truncate(sum(len(line) + 1 for line in lines))
        except OSError as error:
            raise InputError(f'{path}: cannot write there ({error.strerror})') from error

    def append(self, row: Row) -> None:
        """Write one more line."""
        self.rows.append(row)
        plain = {name: None if _is_unknown(value) else value for name, value in row.items()}
        self._file.write(json.dumps(plain).encode() + b'\n')
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path) -> list[Row]:
    """The whole lines of such a file; none if there is no file. Unknown values are NaN."""
    return [_row(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[bytes]:
    lines = path.read_bytes().split(b'\n')[:-1] if path.is_file() else []
    return list(takewhile(_is_whole, lines))


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _row(line: bytes) -> Row:
    return {name: math.nan if value is None else value for name, value in json.loads(line).items()}


def _is_unknown(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
