"""Registrations as YAML files; docs/registration.md explains the keys."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Matrix, Registration
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import read_yaml, written_whole

FORMAT = 'ldfusion-registration'
VERSION = 1


def read_registration(path: Path) -> Registration:
    """Read a file as docs/registration.md describes it.

    Raises:
        InputError: it can't be read, or says something that can't be.
    """
    values = read_yaml(path)
    with naming(path):
        return registration_from(values)


def registration_from(values: Any) -> Registration:
    """The registration that the content of a YAML file describes.

    Raises:
        InputError: it says something that can't be, or a key that is not known.
    """
    if not isinstance(values, dict) or (values.get('format'), values.get('version')) != (FORMAT, VERSION):
        raise InputError(f'format: {FORMAT} and version: {VERSION} are needed; ldfusion calibrate writes such a file')
    known = {key: value for key, value in values.items() if key not in ('format', 'version')}
    readers: dict[str, Callable[[Any], Any]] = {
        'method': str,
        'undistort': _flag,
        'visible': _lens,
        'thermal': _lens,
        'visible_size': _size,
        'thermal_size': _size,
        'thermal_H_visible': lambda value: _matrix(value, 3),
        'thermal_T_visible': lambda value: _matrix(value, 4),
        'thermal_shift': lambda value: _numbers(value, 2),
        'geometry': str,
        'distance': lambda value: _numbers([value], 1)[0],
        'visible_T_ranges': _matrices,
    }
    read = {}
    for key, value in known.items():
        if key not in readers:
            raise InputError(f'unknown key {key!r}; known are {", ".join(readers)}')
        with naming(key):
            read[key] = readers[key](value)
    read.setdefault('undistort', read.get('method') == 'cameras')
    return Registration(**read)


def write_registration(path: Path, registration: Registration) -> None:
    """Write a file that :func:`read_registration` reads.

    Raises:
        InputError: it can't be written.
    """
    values: dict[str, Any] = {'format': FORMAT, 'version': VERSION, 'method': registration.method}
    values['undistort'] = registration.undistort
    for name in ('visible', 'thermal'):
        if lens := getattr(registration, name):
            values[name] = _plain_lens(lens)
    for name in ('visible_size', 'thermal_size'):
        if size := getattr(registration, name):
            values[name] = list(size)
    for name in ('thermal_H_visible', 'thermal_T_visible'):
        if matrix := getattr(registration, name):
            values[name] = [list(row) for row in matrix]
    if registration.method == 'cameras':
        values['thermal_shift'] = list(registration.thermal_shift)
        values['geometry'] = registration.geometry
        values['distance'] = registration.distance
    if registration.visible_T_ranges:
        values['visible_T_ranges'] = {
            frame: [list(row) for row in matrix] for frame, matrix in registration.visible_T_ranges.items()
        }
    with written_whole(path) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), encoding='utf-8')


def _lens(value: Any) -> Lens:
    if not isinstance(value, Mapping):
        raise InputError('a camera is width, height, fx, fy, cx, cy, distortion_model and distortion')
    rest = dict(value)
    model = str(rest.pop('distortion_model', 'plumb_bob'))
    distortion = rest.pop('distortion', ())
    rectified = rest.pop('rectified', None)
    return Lens(
        _intrinsics(rest),
        model,
        _numbers(distortion, len(distortion) if isinstance(distortion, (list, tuple)) else 0),
        None if rectified is None else _intrinsics(rectified),
    )


def _intrinsics(value: Any) -> Intrinsics:
    names = ('width', 'height', 'fx', 'fy', 'cx', 'cy')
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise InputError(f'a camera is {", ".join(names)}, and may have distortion_model, distortion and rectified')
    numbers = _numbers([value[name] for name in names], 6)
    return Intrinsics(*_size(numbers[:2]), *numbers[2:])


def _plain_lens(lens: Lens) -> dict[str, Any]:
    values: dict[str, Any] = {**asdict(lens.camera), 'distortion_model': lens.model}
    values['distortion'] = list(lens.coefficients)
    if lens.rectified:
        values['rectified'] = asdict(lens.rectified)
    return values


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f'{value!r}: true or false is needed')
    return value


def _size(value: Any) -> tuple[int, int]:
    width, height = _numbers(value, 2)
    if not (width.is_integer() and height.is_integer() and min(width, height) >= 1):
        raise InputError(f'{value!r}: two whole numbers above 0, width and height')
    return int(width), int(height)


def _matrix(value: Any, order: int) -> Matrix:
    if not isinstance(value, (list, tuple)) or len(value) != order:
        raise InputError(f'a list of {order} rows is needed')
    return tuple(_numbers(row, order) for row in value)


def _matrices(value: Any) -> dict[str, Matrix]:
    if not isinstance(value, Mapping) or not value:
        raise InputError('a transform of four rows for each frame, by its name, is needed')
    found = {}
    for frame, matrix in value.items():
        with naming(str(frame)):
            found[str(frame).lstrip('/')] = _matrix(matrix, 4)
    return found


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    listed = list(value) if isinstance(value, (list, tuple)) else [value]
    fit = len(listed) == count and all(
        type(number) in (int, float) and abs(number) <= sys.float_info.max for number in listed
    )
    if not fit:
        raise InputError(f'{value!r}: {count} finite numbers are needed')
    return tuple(float(number) for number in listed)
