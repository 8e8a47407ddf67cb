"""``ldfusion release`` and ``weights``: folders of weights for nodes and commands, from checkpoints or from data."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import SHIPPED
from ldfusion_training.commands.train import RECIPES, read_recipe
from ldfusion_training.report.tables import write_text
from ldfusion_training.runs.chain import CHAIN, Step

FACTS = ('data', 'recipe', 'metrics', 'licence')
DONE = 'done.txt'
# What stands for the folders in recipes and in the chain.
_FOLDERS = re.compile(r'\.\./shared/data\b|\bruns(?=/)')


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Release:
    """Put trained weights where nodes and commands load them."""

    checkpoint: tuple[Path, ...]
    """checkpoint.pt of a training stage; of several runs the mean of their weights"""
    part: Literal['denoiser', 'student', 'fusion', 'visible_depth', 'thermal_depth', 'captioner', 'text']
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


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Weights:
    """Train every part of the weights from data sets and nothing else, in the order of docs/training.md.

    Writes RUNS/weights, a folder of weights as nodes and commands load it. Takes days on two processors; run the same
    command again after an interruption, and it goes on where it was.
    """

    data: Path = Path('../shared/data')
    """folder with kitti, sites, indoor, roadscene, llvip, msrs, idd_lite and camvid, as docs/training.md says"""
    runs: Path = Path('runs')
    """folder for all runs, simulated scenes and the weights"""
    trial: bool = False
    """two steps and a scene of everything, within the hour: shows whether all that is needed is here"""
    dry_run: bool = False
    """print the commands and stop"""


DEFAULTS = Weights()


def run_weights(options: Weights = DEFAULTS) -> int:
    """Run what has not been run."""
    code = run_steps(CHAIN, options.data, options.runs, options.trial, options.dry_run)
    if not (code or options.dry_run):
        print(f'{options.runs / "weights"}: every part is there')
    return code


def run_steps(steps: Sequence[Step], data: Path, runs: Path, trial: bool = False, dry_run: bool = False) -> int:
    """Run those commands of a chain that have not been run in this folder of runs; ``dry_run`` only prints all.

    Returns:
        the exit code of the first command that fails, else 0.

    Raises:
        InputError: no such data, or the folder holds a trial where a whole run is asked for, or the other way round.
    """
    from ldfusion_training.cli import main

    if not data.is_dir():
        raise InputError(f'{data}: no such folder; name the data sets with --data')

    def named(text: str) -> str:
        return _FOLDERS.sub(lambda found: str(data if found[0].startswith('.') else runs), text)

    said = [f'{step.words} {step.trial if trial else step.whole}' for step in steps]
    lines = [shlex.join(named(word) for word in shlex.split(words)) for words in said]
    if dry_run:
        print('\n'.join(f'ldfusion {line}' for line in lines))
        return 0
    _write_recipes([step.recipe for step in steps if step.recipe], runs / 'recipes', named)
    record = runs / DONE
    done = record.read_text().splitlines() if record.is_file() else []
    if any(('trainer.steps' in line) != trial for line in done if line.startswith('train ')):
        raise InputError(f'{runs}: holds {"a trial" if not trial else "a whole run"}; name other --runs')
    for number, line in enumerate(lines, start=1):
        if line in done:
            continue
        print(f'[{number}/{len(lines)}] ldfusion {line}', flush=True)
        code = main(shlex.split(line))
        if code:
            return code
        done.append(line)
        write_text(record, '\n'.join(done))
    return 0


def _write_recipes(recipes: Sequence[str], folder: Path, named: Callable[[str], str]) -> None:
    """The recipes of a chain, each without a base, for these folders."""
    for recipe in recipes:
        text = yaml.safe_dump(read_recipe(RECIPES / f'{recipe}.yaml'), sort_keys=False)
        write_text(folder / f'{recipe}.yaml', named(text))
