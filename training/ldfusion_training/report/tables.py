"""Results as Markdown tables and JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_models.shown import in_markdown

UNDEFINED = '-'


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A Markdown table; numbers with three decimals, NaN as a dash."""
    lines = [[in_markdown(name) for name in header], ['---'] + ['---:'] * (len(header) - 1)]
    lines += [[_cell(value) for value in row] for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def require_distinct(names: Sequence[str]) -> None:
    """Raises InputError if two rows would have one name."""
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(f'two results are called {repeated[0]!r}; rename a folder')


def write_text(path: Path, text: str) -> None:
    """Write a text file whole; raises InputError if it can't be written."""
    with written_whole(path) as temporary:
        temporary.write_text(text if text.endswith('\n') else text + '\n')


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whole, NaN and infinity as null; raises InputError if it can't be written."""
    write_text(path, json.dumps(_finite(content), indent=2))


def show_report(text: str, values: Mapping[str, Any], json_file: Path | None, markdown: Path | None = None) -> None:
    """Print a report; where files are named, write the values that it tells of, and the text; raises InputError."""
    print(text)
    if json_file:
        write_json(json_file, values)
    if markdown:
        write_text(markdown, text)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return in_markdown(value)
    return f'{value:.3f}' if math.isfinite(value) else UNDEFINED


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
