"""Several camera pairs on one robot: a file each, for ``rig:=front.yaml,rear.yaml`` at launch."""

import os
from collections.abc import Mapping
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_yaml
from ldfusion_models.paths import named_path

# What belongs to all pairs of a launch, and not to one.
SHARED = ('rig', 'rviz', 'rviz_frame', 'bag', 'rate', 'loop', 'view')


def read_rigs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The arguments of the launch file for each pair: those of its file, else those that were given for all.

    Without ``rig`` there is one pair, that of the arguments. A pair whose file says no namespace takes the
    file's name, inside of the namespace for all.

    Raises:
        InputError: a file that can't be read or names no argument of a pair, or two pairs in one namespace.
    """
    names = [name.strip() for name in values['rig'].split(',') if name.strip()]
    rigs = [{**values, **_read(named_path(name), values)} for name in names] or [dict(values)]
    spaces = [rig['namespace'].strip('/') for rig in rigs]
    for space in spaces:
        if spaces.count(space) > 1:
            raise InputError(
                f'rig {values["rig"]!r}: {spaces.count(space)} pairs in namespace {space!r}; give each its own'
            )
    return rigs


def threads_of(rig: Mapping[str, str], pairs: int) -> dict[str, int]:
    """The parameter ``threads`` of a pair: as its arguments say, else its share of the processors.

    A single pair is left to what its parameters say.

    Raises:
        InputError: no number.
    """
    if rig['threads']:
        if not rig['threads'].isdecimal():
            raise InputError(f'threads {rig["threads"]!r}: a whole number is needed')
        return {'threads': int(rig['threads'])}
    return {'threads': max(1, len(os.sched_getaffinity(0)) // pairs)} if pairs > 1 else {}


def _read(path: Path, values: Mapping[str, str]) -> dict[str, str]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f'rig {path}: arguments of ldfusion.launch.py with their values are needed')
    if wrong := [str(name) for name in content if name not in values or name in SHARED]:
        known = ', '.join(name for name in values if name not in SHARED)
        raise InputError(f'rig {path}: {", ".join(wrong)} cannot be said of one pair; known are {known}')
    if listed := [name for name, value in content.items() if isinstance(value, dict | list)]:
        raise InputError(f'rig {path}: {", ".join(listed)}: one value is needed; names go with commas between')
    own = {name: '' if value is None else str(value) for name, value in content.items()}
    return {'namespace': f'{values["namespace"]}/{path.stem}'.lstrip('/'), **own}
