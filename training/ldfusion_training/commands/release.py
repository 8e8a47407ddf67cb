"""``ldfusion release`` and ``weights``: folders of weights for nodes and commands, from checkpoints or from data."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import SHIPPED
from ldfusion_training.cli import main
from ldfusion_training.commands.train import RECIPES, read_recipe
from ldfusion_training.options.release import Release, Weights
from ldfusion_training.report.tables import write_text
from ldfusion_training.runs.chain import CHAIN, Step

FACTS = ('data', 'recipe', 'metrics', 'licence')
DONE = 'done.txt'
# What stands for the folders in recipes and in the chain.
_FOLDERS = re.compile(r'\.\./shared/data\b|\bruns(?=/)')


def run_release(options: Release) -> int:
    """Release one part; the manifest is written last."""
    from ldfusion_training.stages.release import release

    facts = {}
    for fact in options.fact:
        name, equals, text = fact.partition('=')
        if not equals or name not in FACTS:
            raise InputError(f'--fact {fact}: write NAME=TEXT, NAME one of {", ".join(FACTS)}')
        facts[name] = text
    folder = options.output or SHIPPED
    release(options.checkpoint, options.part, folder, facts)
    print(f'{folder}: {options.part} released')
    return 0


def run_weights(options: Weights) -> int:
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
