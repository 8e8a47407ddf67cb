"""Writes config/ldfusion.yaml from the tables of parameters: ``python -m ldfusion_ros.parameter_file > FILE``."""

import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ldfusion_models.rig.settings import Meaning, meanings
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

TABLES: Mapping[str, type[Any]] = {'fusion_node': FusionParameters, 'guidance_node': GuidanceParameters}

HEAD = """\
# Parameters of the nodes of ldfusion_ros, with their defaults. Written by python -m ldfusion_ros.parameter_file.
# start: read when the node starts. configure: read when it is configured; deactivate and clean up to change it.
# switch: read when it is configured and when its service ~/switch_engine is called.
# All others can be changed while the node runs: ros2 param set /fusion_node NAME VALUE
"""

TAIL = """\
    # Quality of service of any input or output, by its full topic name, for example:
    # qos_overrides:
    #   /visible/image_raw:
    #     subscription:
    #       reliability: reliable
    #       depth: 5
"""


def parameter_file() -> str:
    """The whole file: every parameter of every node with what the table says of it."""
    sections = (f'/**/{node}:\n  ros__parameters:\n' + '\n'.join(_entries(table)) for node, table in TABLES.items())
    return '\n'.join([HEAD, *sections, TAIL])


def _entries(table: type[Any]) -> Iterator[str]:
    for name, (default, meaning) in meanings(table).items():
        comment = textwrap.wrap(sentence(meaning), 110, initial_indent='    # ', subsequent_indent='    # ')
        yield '\n'.join([*comment, f'    {name}: {_yaml(default)}', ''])


def sentence(meaning: Meaning) -> str:
    """What a parameter means, its limits, and when it takes effect, in words."""
    words = [meaning.description]
    if meaning.choices:
        words.append(f'One of {", ".join(meaning.choices)}.')
    if math.isfinite(meaning.low):
        words.append(f'{meaning.low:g} to {meaning.high:g}.')
    if meaning.takes != 'now':
        words.append(f'({meaning.takes})')
    return ' '.join(words)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


if __name__ == '__main__':
    print(parameter_file(), end='')
