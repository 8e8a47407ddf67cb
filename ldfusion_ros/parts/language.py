"""What turns images into text and text into numbers, and the thread that does it."""

import os
import threading
from dataclasses import dataclass

from ldfusion_models.choices import EMBEDDED
from ldfusion_models.errors import InputError
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_models.paths import named_path
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters

# The niceness that gives way to everybody.
TO_EVERYBODY = 19


@dataclass(frozen=True)
class Language:
    """Text encoder and captioner; without captioner, ``problem`` says why."""

    encoder: TextEncoder
    captioner: PairCaptioner | None
    problem: str = ''


def load_language(settings: GuidanceParameters) -> Language:
    """Load encoder and captioner; a captioner that can't be had leaves the prompts.

    Raises:
        InputError: the encoder can't be had.
    """
    weights = named_path(settings.weights) if settings.weights else None
    encoder = load_text_encoder(settings.text_encoder, weights, settings.threads)
    if settings.threads and (settings.text_encoder, settings.captioner) != (EMBEDDED, EMBEDDED):
        _limit_pytorch(settings.threads)
    try:
        return Language(encoder, PairCaptioner.load(settings.captioner, weights, settings.threads))
    except InputError as error:
        return Language(encoder, None, str(error))


def _limit_pytorch(threads: int) -> None:
    """Published networks run in PyTorch, with as many threads as the whole process has."""
    try:
        import torch
    except ModuleNotFoundError:
        return  # What needs it says so.
    torch.set_num_threads(threads)


def give_way(niceness: int) -> None:
    """Lower the priority of the calling thread, unless it is as low already: raising it takes a right of its own.

    A thread of niceness 19 still keeps a processor to the end of its slice, milliseconds for which the many short
    steps of the engine wait. Where the system knows idle threads, it becomes one, which steps aside at once.
    """
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, max(os.getpriority(os.PRIO_PROCESS, thread), niceness))
    if niceness == TO_EVERYBODY and hasattr(os, 'SCHED_IDLE'):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
