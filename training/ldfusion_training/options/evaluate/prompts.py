"""``ldfusion evaluate prompts`` and ``evaluate guidance``: what texts do to the fused image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldfusion_models.choices import EMBEDDED
from ldfusion_training.options.types import Count, Picture

# What people ask for most, and the classes that these prompts are about.
PROMPTS = ('people', 'cars', 'road', 'trees', 'buildings')
CLASSES = ('person', 'car', 'road', 'tree', 'building')


@dataclass(frozen=True, kw_only=True)
class EvaluatePrompts:
    """What prompts do to the contrast of things.

    Fuses each pair without text and with each prompt, and measures the contrast of things with their surroundings:
    of labelled classes in simulated data, of people, cars and the rest in the labelled real pairs. Prints contrast
    relative to no text and the part of the pairs in which it rose.
    """

    dataset: Path | None = None
    """simulated data set"""
    pairs: Path | None = None
    """folder that holds the sets of the labelled real pairs"""
    split: Literal['training', 'validation'] = 'validation'
    """with --pairs: which of them"""
    wordings: bool = False
    """with --dataset: instead, 40 wordings that nothing was trained on against their classes' own words"""
    prompts: tuple[str, ...] = PROMPTS
    classes: tuple[str, ...] = CLASSES
    weights: Path | None = None
    """default: those of the package"""
    text_encoder: str = EMBEDDED
    """embedded, ARCH/TAG or folder"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write all values"""
    markdown: Path | None = None
    """write what is printed"""
    sheet: Picture | None = None
    """write a contact sheet of a few pairs"""


@dataclass(frozen=True, kw_only=True)
class EvaluateGuidance:
    """Ablation: no text, each pair's own caption, another pair's.

    Fuses each pair without text (sigma = mu = 0), with its own text, and with that of another scene. Texts are of
    simulated data what the labels tell most of, and the contrast of that is measured; of labelled real pairs what
    the captioner tells, and the contrast of people and cars. Prints that, the usual measures, and how likely the
    difference of own and shuffled is by chance.
    """

    dataset: Path | None = None
    """simulated data set"""
    pairs: Path | None = None
    """folder that holds the sets of the labelled real pairs"""
    split: Literal['training', 'validation'] = 'validation'
    """with --pairs: which of them"""
    rows: tuple[Literal['none', 'own', 'shuffled'], ...] = ('none', 'own', 'shuffled')
    """(all)"""
    weights: Path | None = None
    """default: those of the package"""
    text_encoder: str = EMBEDDED
    """embedded, ARCH/TAG or folder"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write all values"""
    markdown: Path | None = None
    """write what is printed"""
