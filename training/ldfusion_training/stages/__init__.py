"""The stages of training, each a config, a sample and its losses in one file."""

from importlib import import_module
from typing import Any

from ldfusion_models.errors import InputError

STAGES = ('diffusion', 'fusion', 'student', 'depth', 'depth_teacher', 'clip', 'captioner', 'modulation')


def stage_module(name: str) -> Any:
    """The module of a stage: it has ``CONFIG`` (a dataclass with ``trainer``) and ``create(config) -> Stage``.

    Raises:
        InputError: no stage of that name.
    """
    if name not in STAGES:
        raise InputError(f'stage {name!r} is unknown; choose one of {", ".join(STAGES)}')
    return import_module(f'ldfusion_training.stages.{name}')
