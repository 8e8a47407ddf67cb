"""``ldfusion evaluate prompts`` and ``evaluate guidance``: what texts do to the fused image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.commands.options import Count
from ldfusion_training.report.tables import write_json, write_text

# What people ask for most, and the classes that these prompts are about.
PROMPTS = ('people', 'cars', 'road', 'trees', 'buildings')
CLASSES = ('person', 'car', 'road', 'tree', 'building')
TEXT_ROWS = ('none', 'own', 'shuffled')
PAIRS_ON_SHEET = 6


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluatePrompts:
    """What prompts do to the contrast of things.

    Fuses each pair without text and with each prompt, and measures the contrast of things with their surroundings:
    of labelled classes in simulated data, of upright hot spots ("person") in real pairs. Prints contrast relative
    to no text and the part of the pairs in which it rose.
    """

    dataset: Path | None = None
    """simulated data set"""
    pairs: Path | None = None
    """real pairs, any layout"""
    prompts: tuple[str, ...] = ('people', 'cars', 'road', 'trees', 'buildings')
    classes: tuple[str, ...] = ('person', 'car', 'road', 'tree', 'building')
    weights: Path | None = None
    """default: those of the package"""
    text_encoder: str = 'embedded'
    """embedded, ARCH/TAG or folder"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write all values"""
    markdown: Path | None = None
    """write what is printed"""
    sheet: Path | None = None
    """write a contact sheet of a few pairs"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateGuidance:
    """Ablation: no text, each pair's own caption, another pair's.

    Fuses each pair without text (sigma = mu = 0), with its own text of texts.json, and with that of another scene;
    prints the contrast of what its own text names, and the usual measures.
    """

    dataset: Path
    """simulated data with texts.json"""
    rows: tuple[Literal['none', 'own', 'shuffled'], ...] = ('none', 'own', 'shuffled')
    """(all)"""
    kind: Literal['caption', 'description'] = 'caption'
    weights: Path | None = None
    """default: those of the package"""
    text_encoder: str = 'embedded'
    """embedded, ARCH/TAG or folder"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write all values"""
    markdown: Path | None = None
    """write what is printed"""


DEFAULTS = EvaluatePrompts()


def run_prompts(options: EvaluatePrompts = DEFAULTS) -> int:
    """Measure every prompt on every pair."""
    from ldfusion_training.data.pairs import open_pairs
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation

    fusion = evaluation.TextFusion(options.weights, options.text_encoder)
    if options.dataset and options.pairs:
        raise InputError('give either --dataset or --pairs, not both')
    if options.dataset:
        kinds = list(options.classes)
        frames = open_simulation(options.dataset)[:: options.every]
        subjects = list(evaluation.simulated_subjects(frames, kinds))
    elif options.pairs:
        kinds = ['person']
        sources = open_pairs(options.pairs).pairs[:: options.every]
        subjects = list(evaluation.real_subjects(sources))
    else:
        raise InputError('give --dataset or --pairs')
    scores = evaluation.score_prompts(fusion, subjects, options.prompts, kinds)
    _show(options, evaluation.prompt_report(scores), evaluation.prompts_as_json(scores, fusion))
    if options.sheet:
        shown = subjects[:: max(1, len(subjects) // PAIRS_ON_SHEET)][:PAIRS_ON_SHEET]
        write_image(options.sheet, evaluation.prompt_sheet(fusion, shown, options.prompts))
    return 0


def run_guidance(options: EvaluateGuidance) -> int:
    """Measure each row of the ablation."""
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation
    from ldfusion_training.language.pair_texts import read_texts

    texts = read_texts(options.dataset)
    frames = [frame for frame in open_simulation(options.dataset) if frame.name in texts][:: options.every]
    fusion = evaluation.TextFusion(options.weights, options.text_encoder)
    rows = evaluation.score_texts(fusion, frames, texts, options.rows, options.kind)
    _show(options, evaluation.text_report(rows), dict(rows))
    return 0


def _show(options: EvaluatePrompts | EvaluateGuidance, table: str, content: dict[str, object]) -> None:
    print(table)
    if options.json:
        write_json(options.json, content)
    if options.markdown:
        write_text(options.markdown, table)
