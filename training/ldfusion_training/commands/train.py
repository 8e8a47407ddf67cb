"""``ldfusion train STAGE``: run one training stage from its recipe; ``ldfusion burst``: on a GPU lent for minutes."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

import ldfusion_training
from ldfusion_models.errors import InputError
from ldfusion_models.files import data_folder, read_yaml, write_image, written_whole
from ldfusion_models.mappings import from_mapping, plain
from ldfusion_training.benchmark.gpu import GpuConfig, benchmark_gpu, summary
from ldfusion_training.options.train import Burst, Train
from ldfusion_training.report.tables import write_json
from ldfusion_training.runs.burst import pack
from ldfusion_training.stages import stage_module

RECIPES = data_folder(ldfusion_training.__file__, 'configs')


def run_burst(options: Burst) -> int:
    """Pack, or train and measure."""
    output = options.output or Path('runs') / options.stage
    if options.pack:
        recipe = override(read_recipe(options.config or RECIPES / f'{options.stage}.yaml'), options.set)
        size = pack(options.pack, options.stage, recipe, output, options.wheels)
        print(f'{options.pack}: {size / 2**20:.1f} MiB; there: tar -xf {options.pack.name} && sh burst.sh')
        return 0
    workers, precision = (0, 'no') if options.cpu else (max(1, len(os.sched_getaffinity(0)) - 2), 'bf16')
    timing = [f'trainer.minutes={options.minutes}', f'trainer.precision="{precision}"', f'trainer.workers={workers}']
    # As many steps as the minutes allow, and one checkpoint at their end.
    timing += ['trainer.steps=1000000', 'trainer.checkpoint_every=1000000']
    run_train(Train(options.stage, config=options.config, set=(*options.set, *timing), output=output, resume=True))
    config = GpuConfig(((64, 48),), runs=2, engines=('torch',), device='cpu') if options.cpu else GpuConfig()
    result = benchmark_gpu(config)
    write_json(output / 'latency.json', result)
    print(summary(result))
    return 0


def run_train(options: Train) -> int:
    """Train, with a progress bar, TensorBoard logs and a picture at the end."""
    module = stage_module(options.stage)
    recipe = options.config or RECIPES / f'{options.stage}.yaml'
    source = ' --set '.join([str(recipe), *options.set])
    config = from_mapping(module.CONFIG, override(read_recipe(recipe), options.set), source)
    if options.dry_run:
        print(yaml.safe_dump(plain(dataclasses.asdict(config)), sort_keys=False), end='')
        return 0
    output = options.output or Path('runs') / recipe.stem
    train_stage(module.create(config), config.trainer, output, options.resume)
    return 0


def train_stage(stage: Any, config: Any, output: Path, resume: bool) -> None:
    """Train ``stage`` and write ``picture.png``, the recipe and the logs beside its checkpoint.

    Under a launcher of several processes (torchrun, accelerate), the first of them writes and tells.
    """
    from ldfusion_training.runs.trainer import train

    if os.environ.get('RANK', '0') != '0':
        for _ in train(stage, config, output, resume):
            pass
        return
    output.mkdir(parents=True, exist_ok=True)
    with written_whole(output / 'config.yaml') as temporary:
        temporary.write_text(yaml.safe_dump(plain(stage.settings), sort_keys=False))
    try:
        _train_with_logs(stage, config, output, resume)
    except FloatingPointError as error:
        raise InputError(
            f'{output}: {error}; the last checkpoint is good: resume with a lower trainer.learning_rate'
        ) from error
    write_image(output / 'picture.png', stage.picture())
    print(f'{output}: checkpoint.pt, picture.png, config.yaml and TensorBoard logs are there')


def _train_with_logs(stage: Any, config: Any, output: Path, resume: bool) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from ldfusion_training.runs.trainer import train

    smooth: dict[str, float] = {}
    with SummaryWriter(output / 'logs') as writer, tqdm(total=config.steps, unit='step') as bar:
        for report in train(stage, config, output, resume):
            for name, value in report.losses.items():
                smooth[name] = 0.95 * smooth.get(name, value) + 0.05 * value
            bar.update(report.step - bar.n)
            if report.step % config.log_every == 0:
                bar.set_postfix({name: f'{value:.4f}' for name, value in smooth.items()})
                writer.add_scalar('learning_rate', report.learning_rate, report.step)
                for name, value in smooth.items():
                    writer.add_scalar(name, value, report.step)


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; those of ``base``, another recipe beside it, hold where it says nothing.

    Raises:
        InputError: missing, or not names and values.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f'{path}: a recipe holds names and values')
    base = content.pop('base', None)
    return content if base is None else _joined(read_recipe(path.parent / str(base)), content)


def _joined(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    inner = {
        name: _joined(base[name], value)
        for name, value in changes.items()
        if isinstance(value, dict) and isinstance(base.get(name), dict)
    }
    return {**base, **changes, **inner}


def override(recipe: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The recipe with ``a.b=value`` settings put in; values are YAML.

    Raises:
        InputError: not of that form.
    """
    for setting in settings:
        name, equals, value = setting.partition('=')
        if not equals or not name:
            raise InputError(f'--set {setting}: write NAME=VALUE, for example trainer.steps=100')
        *outer, last = name.split('.')
        place = recipe
        try:
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = yaml.safe_load(value)
        except (AttributeError, TypeError, yaml.YAMLError) as error:
            raise InputError(f'--set {setting}: no such setting, or no value in YAML') from error
    return recipe
