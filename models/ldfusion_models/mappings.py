"""Dataclasses from nested names and values, such as YAML files hold them, and the way back."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ldfusion_models.errors import InputError

Kind = TypeVar('Kind')


def from_mapping(kind: type[Kind], values: Any, source: str) -> Kind:
    """Build a (nested) dataclass from a mapping.

    Raises:
        InputError: no mapping, a name unknown or missing, a value of another type or one that the dataclass refuses.
    """
    assert dataclasses.is_dataclass(kind)
    if not isinstance(values, Mapping):
        raise InputError(f'{source}: {kind.__name__} needs names and values, not {values!r}')
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    if unknown := sorted(str(name) for name in set(values) - {field.name for field in fields}):
        known = ', '.join(sorted(field.name for field in fields))
        raise InputError(f'{source}: {kind.__name__} has no setting {unknown[0]!r}; known are {known}')
    if missing := [field.name for field in fields if _is_required(field) and field.name not in values]:
        raise InputError(f'{source}: {kind.__name__} needs {", ".join(missing)}')
    arguments = {name: _typed(hints[name], value, f'{source}: {name}') for name, value in values.items()}
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(f'{source}: {error}') from error


def plain(values: Any) -> Any:
    """Nested mappings with tuples as lists, as YAML writes them: the way back from ``from_mapping``."""
    if isinstance(values, Mapping):
        return {key: plain(value) for key, value in values.items()}
    return [plain(value) for value in values] if isinstance(values, list | tuple) else values


def _is_required(field: 'dataclasses.Field[Any]') -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _typed(hint: Any, value: Any, source: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, source)  # type: ignore[arg-type]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal and value not in inner:
        raise InputError(f'{source} is {value!r}; choose one of {", ".join(map(str, inner))}')
    if origin in (tuple, Sequence):
        if not isinstance(value, list | tuple):
            raise InputError(f'{source}: {value!r} is no list')
        if origin is tuple and inner[-1] is not Ellipsis and len(value) != len(inner):
            raise InputError(f'{source}: {value!r} is no list of {len(inner)}')
        return tuple(_typed(inner[0], each, source) for each in value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise InputError(f'{source}: {value!r} is not names and values')
        return {_typed(str, name, source): _typed(inner[1], each, f'{source}: {name}') for name, each in value.items()}
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise InputError(f'{source}: {value!r} is not of type {hint.__name__}')
    return value
