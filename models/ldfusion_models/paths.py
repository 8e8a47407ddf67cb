"""Paths as people name them."""

from pathlib import Path

from ldfusion_models.errors import InputError


def named_path(name: str) -> Path:
    """The path of a setting; ``~`` at its start is a home folder.

    Raises:
        InputError: nobody knows that home, as in a container whose user has none.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f'{name}: no such home folder; write the path in full') from error
