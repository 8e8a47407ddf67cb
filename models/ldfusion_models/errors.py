"""The one error that a user may cause."""

from collections.abc import Iterator
from contextlib import contextmanager

from ldfusion_models.shown import one_line


class InputError(ValueError):
    """Bad input: the message names the file, parameter or value and says what would be right.

    The command line prints it as one line and exits with code 2; a node counts and reports it. What is in it may come
    from others and is made harmless here.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Begin the message of an :class:`InputError` raised in the block with ``source``, such as a file."""
    try:
        yield
    except InputError as error:
        raise InputError(f'{source}: {error}') from error


def how_to_install(extra: str) -> str:
    """What brings the packages of an extra of setup.cfg; ldfusion_ros itself is on no registry."""
    return f"pip install -e '.[{extra}]' in the checkout of ldfusion_ros"


def explain_missing(error: ModuleNotFoundError) -> str:
    """One line that names a package that is not installed, and how to get it."""
    package = (error.name or '').partition('.')[0]
    if not package or package.startswith('ldfusion_'):
        return str(error)
    return f'this needs the Python package {package}: {how_to_install("training")}'
