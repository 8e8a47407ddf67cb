"""The training loop: any stage, any number of GPUs (accelerate), exact resume.

All randomness of a step is drawn on the host from (seed, index of the sample), so an interrupted run that resumes
sees the very samples and noise that an uninterrupted one sees; no generator state needs to be kept.
"""

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole

Sample = dict[str, npt.NDArray[Any]]
CHECKPOINT = 'checkpoint.pt'


@dataclass(frozen=True)
class TrainerConfig:
    """Settings that every stage shares.

    Attributes:
        steps: optimizer steps in all.
        minutes: end after so much time instead, with the learning rate falling by time; 0 for no limit. For machines
            that are lent for minutes: such a run can't be repeated exactly.
        batch_size: samples per step over all processes.
        learning_rate: at its peak; it rises linearly over ``warmup`` steps, then falls as a cosine to a hundredth.
        weight_decay: of AdamW.
        ema_decay: of the exponential moving average of the weights, which is what a stage delivers.
        gradient_clip: largest norm of the gradient.
        seed: of initial weights and samples.
        precision: ``no`` (float32), ``bf16`` or ``fp16``, as accelerate names them.
        workers: processes that prepare samples; 0 for none.
        checkpoint_every: steps between checkpoints.
        log_every: steps between lines in TensorBoard.
    """

    steps: int = 2000
    minutes: float = 0.0
    batch_size: int = 8
    learning_rate: float = 5e-4
    warmup: int = 100
    weight_decay: float = 1e-4
    ema_decay: float = 0.998
    gradient_clip: float = 1.0
    seed: int = 0
    precision: Literal['no', 'bf16', 'fp16'] = 'no'
    workers: int = 0
    checkpoint_every: int = 200
    log_every: int = 20

    def __post_init__(self) -> None:
        for name in ('steps', 'batch_size', 'checkpoint_every', 'log_every'):
            if getattr(self, name) < 1:
                raise InputError(f'trainer.{name} {getattr(self, name)}: 1 or more are needed')

    def learning_rate_at(self, step: int, spent: float = 0.0) -> float:
        """The learning rate of optimizer step ``step`` (from 0), after the part ``spent`` of ``minutes``."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = max(min(spent, 1.0), (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


class Stage(nn.Module, ABC):
    """One stage of training: what a sample is, and what its losses are.

    Attributes:
        parts: trained networks by the name of the weights they become.
        settings: the resolved config, plain values, stored in the checkpoint.
    """

    parts: dict[str, nn.Module]
    settings: dict[str, Any]

    def rate_of(self, name: str) -> float:
        """What the learning rate is multiplied by for the parameter ``name``."""
        return 1.0

    def state_of_parts(self) -> dict[str, Tensor]:
        """Parameters and buffers of the parts, named ``PART.NAME``."""
        return {
            f'{part}.{name}': tensor
            for part, network in self.parts.items()
            for name, tensor in network.state_dict().items()
        }

    def load_parts(self, state: dict[str, Tensor]) -> None:
        """Take over what ``state_of_parts`` gave."""
        for part, network in self.parts.items():
            network.load_state_dict(named_below(state, part))

    @abstractmethod
    def sample(self, generator: np.random.Generator) -> Sample:
        """One training sample as arrays of fixed shapes, noise included; all randomness from ``generator``."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch by name; ``loss`` is the one that is minimised."""

    @abstractmethod
    def picture(self) -> npt.NDArray[np.uint8]:
        """An RGB picture (H, W, 3) by which a person sees what the stage has learned."""


class IndexedSamples(torch.utils.data.Dataset[Sample]):
    """Sample ``i`` of a stage, a function of (seed, i) alone."""

    def __init__(self, stage: Stage, seed: int, first: int, last: int) -> None:
        self.stage, self.seed, self.first, self.last = stage, seed, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Sample:
        return self.stage.sample(np.random.default_rng([self.seed, self.first + index]))


@dataclass(frozen=True)
class StepReport:
    """State after optimizer step ``step`` (from 1) and the losses on its batch."""

    step: int
    losses: dict[str, float]
    learning_rate: float


def train(stage: Stage, config: TrainerConfig, output: Path, resume: bool = False) -> Iterator[StepReport]:
    """Train ``stage``; checkpoints in ``output`` are whole or absent, and the last one is of the last step.

    Args:
        stage: what is trained; its parts hold the averaged weights when the iterator ends.
        config: settings.
        output: folder of checkpoints and TensorBoard logs.
        resume: go on from the checkpoint in ``output``, if there is one.

    Yields:
        One report per optimizer step.

    Raises:
        InputError: a checkpoint of another config, or one that is already there and not to be resumed; a batch that the
            processes can't share evenly; several processes with a limit of time, which they would not reach together.
        FloatingPointError: the loss is not finite; the last checkpoint is kept.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=config.precision)
    share = _share_of_batch(config, accelerator.num_processes)
    trained = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(_groups(stage), config.learning_rate, weight_decay=config.weight_decay)
    average = {name: tensor.detach().clone() for name, tensor in stage.state_of_parts().items()}
    start = _start(stage, optimizer, average, output / CHECKPOINT, config, resume)
    samples = IndexedSamples(stage, config.seed, start * config.batch_size, config.steps * config.batch_size)
    loader: Any = torch.utils.data.DataLoader(samples, batch_size=share, num_workers=config.workers, drop_last=True)
    model, prepared, loader = accelerator.prepare(stage, optimizer, loader)
    average = {name: tensor.to(accelerator.device) for name, tensor in average.items()}
    model.train()
    began = time.monotonic()
    for step, batch in enumerate(loader, start=start):
        spent = (time.monotonic() - began) / (60 * config.minutes) if config.minutes else 0.0
        rate = config.learning_rate_at(step, spent)
        for group in prepared.param_groups:
            group['lr'] = rate * group.get('factor', 1.0)
        with accelerator.autocast():
            losses = model(batch)
        if not torch.isfinite(losses['loss']):
            raise FloatingPointError(f'loss is {float(losses["loss"].detach())} at step {step + 1}')
        prepared.zero_grad()
        accelerator.backward(losses['loss'])
        accelerator.clip_grad_norm_(trained, config.gradient_clip)
        prepared.step()
        _follow(average, stage.state_of_parts(), config.ema_decay, step)
        done = step + 1
        ended = done == config.steps or spent >= 1
        if accelerator.is_main_process and (done % config.checkpoint_every == 0 or ended):
            _save(stage, optimizer, average, output / CHECKPOINT, config, done)
        yield StepReport(done, {name: float(value.detach()) for name, value in losses.items()}, rate)
        if ended:
            break
    stage.load_parts(average)
    stage.eval()


def _share_of_batch(config: TrainerConfig, processes: int) -> int:
    """Samples per step of each process; raises InputError if they can't be shared, or not be ended together."""
    share, rest = divmod(config.batch_size, processes)
    if rest or not share:
        raise InputError(
            f'trainer.batch_size {config.batch_size}: {processes} processes need a multiple of their number'
        )
    if config.minutes and processes > 1:
        raise InputError('trainer.minutes: only for one process; give steps')
    return share


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint: step, weights, average, optimizer, settings.

    Raises:
        InputError: missing or unreadable.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such checkpoint; train the stage first')
    try:
        content: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(f'{path}: not a readable checkpoint ({error})') from error
    return content


def named_below(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Those tensors of ``state`` whose names begin with ``PART.``, without it."""
    prefix = f'{part}.'
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _groups(stage: Stage) -> list[dict[str, Any]]:
    """The parameters to train, those of one factor of the learning rate together."""
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in stage.named_parameters():
        if parameter.requires_grad:
            by_factor.setdefault(stage.rate_of(name), []).append(parameter)
    return [{'params': parameters, 'factor': factor} for factor, parameters in by_factor.items()]


@torch.no_grad()
def _follow(average: dict[str, Tensor], current: dict[str, Tensor], decay: float, step: int) -> None:
    # Early on the average follows faster, or it would keep the initial weights for long.
    decay = min(decay, (1 + step) / (10 + step))
    for name, tensor in current.items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - decay)
        else:
            average[name].copy_(tensor)


def _save(
    stage: Stage, optimizer: Any, average: dict[str, Tensor], path: Path, config: TrainerConfig, step: int
) -> None:
    content = {
        'step': step,
        'weights': stage.state_of_parts(),
        'average': average,
        'optimizer': optimizer.state_dict(),
        'settings': stage.settings,
        'trainer': dataclasses.asdict(config),
    }
    with written_whole(path) as temporary:
        torch.save(content, temporary)


def _start(
    stage: Stage, optimizer: Any, average: dict[str, Tensor], path: Path, config: TrainerConfig, resume: bool
) -> int:
    if not path.exists():
        return 0
    if not resume:
        raise InputError(f'{path}: a run is there already; add --resume to go on, or name another folder')
    content = read_checkpoint(path)
    # The trainer's settings may change, for example to train longer or more gently.
    different = sorted(
        key for key in stage.settings if key != 'trainer' and content['settings'].get(key) != stage.settings[key]
    )
    if different:
        raise InputError(f'{path}: was trained with other settings ({", ".join(different)}); name another folder')
    try:
        stage.load_parts(content['weights'])
    except RuntimeError as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: its networks are of another version; name another folder ({reason})') from error
    optimizer.load_state_dict(content['optimizer'])
    for name, tensor in content['average'].items():
        average[name].copy_(tensor)
    return int(content['step'])
