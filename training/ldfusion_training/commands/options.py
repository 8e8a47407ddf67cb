"""Types of options that several commands have."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from ldfusion_models.camera.images import MINIMUM_SIZE
from ldfusion_models.engines import ENGINES, PRECISIONS
from ldfusion_models.errors import InputError

if TYPE_CHECKING:
    EngineName = str
    Precision = str
else:
    EngineName = Literal.__getitem__(('auto', *ENGINES))
    Precision = Literal.__getitem__(('auto', *PRECISIONS))


def check_positive(_: type, value: float | None) -> None:
    """Refuse what is no finite number above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ValueError(f'{value} is no number above 0')


def check_inference_size(_: type, value: int) -> None:
    """Refuse what the networks can't take; 0 stands for no limit."""
    if value and value < MINIMUM_SIZE:
        raise ValueError(f'{value} is no whole number from {MINIMUM_SIZE}')


def read_size(_: type, tokens: Sequence[Token]) -> tuple[int, int]:
    """Width and height from ``640x480``."""
    width, cross, height = tokens[0].value.partition('x')
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(f'{tokens[0].value!r} is no size like 640x480')
    return int(width), int(height)


Positive = Annotated[float, Parameter(validator=check_positive)]
NotNegative = Annotated[float, Parameter(validator=Number(gte=0))]
Part = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
InferenceSize = Annotated[int, Parameter(validator=check_inference_size)]
Size = Annotated[tuple[int, int], Parameter(converter=read_size, n_tokens=1, accepts_keys=False)]


def folders_in(folder: Path | None) -> list[Path]:
    """The folders in ``folder``, none for None; raises InputError if it holds none."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    if not found:
        raise InputError(f'{folder}: holds no folders of results')
    return found
