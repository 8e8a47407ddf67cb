"""``ldfusion release``: a checkpoint's averaged weights into a folder of weights that nodes and commands load."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import SHIPPED

FACTS = ('data', 'recipe', 'metrics', 'licence')


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Release:
    """Put trained weights where nodes and commands load them."""

    checkpoint: tuple[Path, ...]
    """checkpoint.pt of a training stage; of several runs the mean of their weights"""
    part: Literal['denoiser', 'fusion', 'visible_depth', 'thermal_depth', 'captioner', 'text']
    """network whose weights it holds"""
    output: Path = SHIPPED
    """folder of weights; default: the package's own"""
    fact: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = ()
    """for the manifest: data, recipe, metrics, licence"""


def run(options: Release) -> int:
    """Release one part; the manifest is written last."""
    from ldfusion_training.stages.release import release

    facts = {}
    for fact in options.fact:
        name, equals, text = fact.partition('=')
        if not equals or name not in FACTS:
            raise InputError(f'--fact {fact}: write NAME=TEXT, NAME one of {", ".join(FACTS)}')
        facts[name] = text
    release(options.checkpoint, options.part, options.output, facts)
    print(f'{options.output}: {options.part} released')
    return 0
