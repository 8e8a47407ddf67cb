"""Types of options that several commands have."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from ldfusion_models.choices import IMAGE_SUFFIXES, MINIMUM_SIZE


def check_positive(_: type, value: float | None) -> None:
    """Refuse what is no finite number above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ValueError(f'{value} is no number above 0')


def check_inference_size(_: type, value: int) -> None:
    """Refuse what the networks can't take; 0 stands for no limit."""
    if value and value < MINIMUM_SIZE:
        raise ValueError(f'{value} is no whole number from {MINIMUM_SIZE}')


def check_picture(_: type, value: Path | None) -> None:
    """Refuse what can't be written as an image, before anything is computed."""
    if value is not None and value.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f'{value} does not end in one of {", ".join(IMAGE_SUFFIXES)}')


def read_size(_: type, tokens: Sequence[Token]) -> tuple[int, int]:
    """Width and height from ``640x480``."""
    width, cross, height = tokens[0].value.partition('x')
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(f'{tokens[0].value!r} is no size like 640x480')
    return int(width), int(height)


Positive = Annotated[float, Parameter(validator=check_positive)]
NotNegative = Annotated[float, Parameter(validator=Number(gte=0))]
Part = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
# An option that is given once for each of its values.
Repeated = Annotated[tuple[str, ...], Parameter(consume_multiple=False)]
# An image to write.
Picture = Annotated[Path, Parameter(validator=check_picture)]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
InferenceSize = Annotated[int, Parameter(validator=check_inference_size)]
Size = Annotated[tuple[int, int], Parameter(converter=read_size, n_tokens=1, accepts_keys=False)]
