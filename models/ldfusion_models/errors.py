"""The one error that a user may cause."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Bad input: the message names the file, parameter or value and says what would be right.

    The command line prints it as one line and exits with code 2; a node counts and reports it.
    """


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Begin the message of an :class:`InputError` raised in the block with ``source``, such as a file."""
    try:
        yield
    except InputError as error:
        raise InputError(f'{source}: {error}') from error
