"""``ldfusion evaluate captions`` and ``evaluate text``: what captions and text embeddings tell rightly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import EMBEDDED
from ldfusion_training.options.types import Count, Picture


@dataclass(frozen=True, kw_only=True)
class EvaluateCaptions:
    """What captions of simulated scenes or of real pairs tell rightly.

    Writes captions of both cameras and compares them with the truth: objects, sides, distances, light and weather,
    for simulated scenes beside a caption that is always the same. Prints the tables.
    """

    scenes: Path | None = None
    """data set of ldfusion simulate"""
    pairs: Path | None = None
    """folder that holds the sets of the labelled real pairs"""
    split: Literal['training', 'validation'] = 'validation'
    """with --pairs: which of them"""
    sheet: Picture | None = None
    """with --pairs: write a contact sheet (PNG)"""
    every: Count = 1
    """use one in N frames"""
    json: Path | None = None
    """write the values"""
    markdown: Path | None = None
    """write the tables"""
    weights: Path | None = None
    """default: the package's own"""
    captions: Path | None = None
    """write all captions with the truth (JSON)"""


@dataclass(frozen=True, kw_only=True)
class EvaluateText:
    """Whether text embeddings join wordings and tell facts apart.

    Words the facts of simulated scenes in several ways and with one aspect changed, and compares the embeddings.
    Prints the table.
    """

    scenes: Path
    """data set of ldfusion simulate"""
    every: Count = 1
    """use one in N frames"""
    json: Path | None = None
    """write the values"""
    markdown: Path | None = None
    """write the tables"""
    encoder: str = EMBEDDED
    """embedded, ARCH/PRETRAINED of open_clip, or a folder"""
