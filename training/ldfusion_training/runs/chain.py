"""The way from public data to every shipped file: one table of commands, in the order in which they are run.

``runs`` and ``../shared/data`` in commands and recipes stand for the folders that ``ldfusion weights`` is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PAIRS = ('roadscene', 'msrs', 'llvip')
STREETS = ('kitti', 'idd_lite', 'camvid')


@dataclass(frozen=True)
class Step:
    """One command of ``ldfusion``.

    Attributes:
        words: that are always said.
        whole: that are said as well when the weights are made.
        trial: that are said instead when it is only tried whether the chain works.
        hours: of a training, estimated, on two processors.
        recipe: in ``configs``, of a training.
    """

    words: str
    whole: str = ''
    trial: str = ''
    hours: float = 0.0
    recipe: str = ''


def _simulate(name: str, scenes: int, frames: int, words: str) -> Step:
    whole = f'--scenes {scenes} --frames {frames}'
    return Step(f'simulate --output runs/simulated/{name} {words}', whole, '--scenes 1 --frames 1')


def _train(recipe: str, hours: float, words: str = '', trial: str = '', stage: str = '', output: str = '') -> Step:
    stage = stage or ('depth_teacher' if recipe == 'depth_teacher' else recipe.partition('_')[0])
    few = '--set trainer.steps=2 --set trainer.batch_size=2 --set trainer.warmup=1'
    command = f'train {stage} --config runs/recipes/{recipe}.yaml --output runs/{output or recipe} --resume'
    # Worker processes are for GPUs that wait for samples.
    return Step(f'{command} --set trainer.workers=0 {words}'.rstrip(), '', f'{few} {trial}'.rstrip(), hours, recipe)


def _release(part: str, *recipes: str) -> Step:
    checkpoints = ' '.join(f'runs/{recipe}/checkpoint.pt' for recipe in recipes)
    made = f'made by ldfusion weights: {", ".join(recipes)}'
    return Step(f'release --part {part} --output runs/weights --checkpoint {checkpoints} --fact "recipe={made}"')


_SMALL, _SMALL_PAIRS = '--set data.crop=[64,64]', '--set data.crop=64'
CHAIN = (
    _train('diffusion', 12.3, trial=_SMALL_PAIRS),
    _train('fusion', 1.3, trial=_SMALL_PAIRS),
    _train('fusion_contrast', 0.1, trial=_SMALL_PAIRS),
    _train('fusion_scale', 0.2, trial=_SMALL_PAIRS),
    _release('denoiser', 'diffusion'),
    _release('fusion', 'fusion_scale'),
    _simulate('plain', 72, 4, '--size 320x240 --seed 4242'),
    _simulate('more', 60, 2, '--size 320x240 --seed 777'),
    _simulate('robots', 60, 2, '--size 320x240 --seed 31 --robot-cameras'),
    _train('student', 0.5, '--set weights=runs/weights', _SMALL_PAIRS),
    _release('student', 'student'),
    _train('depth_visible_start', 2.1, trial=_SMALL),
    _train('depth_visible', 0.9, trial=_SMALL),
    _train('depth_teacher', 223.0, trial='--set data.crop=[112,84] --set teacher.blocks=2'),
    *(
        Step(
            f'teach-depth --data ../shared/data/{name}/train --teacher runs/depth_teacher/checkpoint.pt '
            f'--output runs/taught/{name}'
        )
        for name in (*STREETS, *PAIRS)
    ),
    _train('depth_taught', 9.0, trial=_SMALL),
    _release('visible_depth', 'depth_visible', 'depth_taught'),
    _train('depth_places', 1.0, trial=_SMALL),
    # Two parts of the run, one of what it started from.
    _release('visible_depth', *['depth_places'] * 4, 'depth_visible', 'depth_taught'),
    _train('depth_thermal', 0.9, trial=_SMALL),
    _release('thermal_depth', 'depth_thermal'),
    _simulate('train', 260, 4, '--rate 1 --size 480x360 --seed 1000'),
    _simulate('captions', 600, 1, '--rate 1 --size 320x240 --seed 5000'),
    _train('clip', 0.2),
    _release('text', 'clip'),
    _simulate('labelled', 90, 1, '--rate 1 --size 480x360 --seed 5000'),
    _train('captioner', 0.2, trial='--set data.crop=96'),
    _release('captioner', 'captioner'),
    _train(
        'modulation',
        0.6,
        '--set weights=runs/weights',
        '--set data.crops=4 --set data.real_crops=2 --set data.crop=64 --set texts=100',
    ),
    _release('fusion', 'modulation'),
)


def ablation_chain(rows: Sequence[str], seeds: int) -> tuple[Step, ...]:
    """Every row of an ablation with so many seeds, ``runs/ablations/ROW/seed_N``, after what the rows need.

    All rows of one seed come before the next seed, so that what is there can be compared at any time.
    """
    needed = {
        'simulated': _simulate('plain', 72, 4, '--size 320x240 --seed 4242'),
        'autoencoder': _train('ablations/autoencoder_denoiser', 0.1, stage='diffusion'),
    }
    return (
        _simulate('new', 36, 2, '--rate 1 --size 480x360 --seed 90000'),
        *(step for row, step in needed.items() if row in rows),
        *(
            _train(
                f'ablations/{row}',
                0.1,
                f'--set trainer.seed={seed}',
                stage='fusion',
                output=f'ablations/{row}/seed_{seed}',
            )
            for seed in range(seeds)
            for row in rows
        ),
    )
