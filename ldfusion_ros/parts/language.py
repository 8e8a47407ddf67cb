"""What turns images into text and text into numbers, and the thread that does it."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

if TYPE_CHECKING:
    from ldfusion_models.language.text import TextEncoder

# The niceness that gives way to everybody.
TO_EVERYBODY = 19


@dataclass(frozen=True)
class Language:
    """Text encoder and captioner; without captioner, ``problem`` says why."""

    encoder: 'TextEncoder'
    captioner: PairCaptioner | None
    problem: str = ''


def load_language(settings: GuidanceParameters) -> Language:
    """Load encoder and captioner; a captioner that can't be had leaves the prompts.

    Raises:
        InputError: the encoder can't be had.
    """
    try:
        import torch

        from ldfusion_models.language.text import load_text_encoder
    except ModuleNotFoundError as error:
        raise InputError(f'guidance needs the Python package {error.name}: {how_to_install("language")}') from error
    if settings.threads:
        torch.set_num_threads(settings.threads)
    weights = Path(settings.weights) if settings.weights else None
    encoder = load_text_encoder(settings.text_encoder, weights)
    try:
        return Language(encoder, PairCaptioner.load(settings.captioner, weights, settings.threads))
    except InputError as error:
        return Language(encoder, None, str(error))


def give_way(niceness: int) -> None:
    """Lower the priority of the calling thread.

    A thread of niceness 19 still keeps a processor to the end of its slice, milliseconds for which the many short
    steps of the engine wait. Where the system knows idle threads, it becomes one, which steps aside at once.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    if niceness == TO_EVERYBODY and hasattr(os, 'SCHED_IDLE'):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
