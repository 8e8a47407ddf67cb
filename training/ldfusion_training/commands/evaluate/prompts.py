"""``ldfusion evaluate prompts`` and ``evaluate guidance``: what texts do to the fused image."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.commands.options import Count
from ldfusion_training.report.tables import write_json, write_text

if TYPE_CHECKING:
    from ldfusion_training.evaluation.prompts import Subject, TextFusion

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
    text_encoder: str = 'embedded'
    """embedded, ARCH/TAG or folder"""
    every: Count = 1
    """only every Nth pair"""
    json: Path | None = None
    """write all values"""
    markdown: Path | None = None
    """write what is printed"""


DEFAULTS = EvaluatePrompts()
NO_DATA = EvaluateGuidance()


def run_prompts(options: EvaluatePrompts = DEFAULTS) -> int:
    """Measure every prompt on every pair."""
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation

    _require_one(options)
    fusion = evaluation.TextFusion(options.weights, options.text_encoder)
    if options.dataset:
        kinds = options.classes
        frames = open_simulation(options.dataset)[:: options.every]
        subjects = list(evaluation.simulated_subjects(frames, kinds))
    else:
        kinds, subjects = evaluation.REAL_KINDS, _labelled(options)
    if options.wordings:
        return _run_wordings(options, fusion, subjects)
    scores = evaluation.score_prompts(fusion, subjects, options.prompts, kinds)
    _show(options, evaluation.prompt_report(scores), evaluation.prompts_as_json(scores, fusion))
    if options.sheet:
        shown = subjects[:: max(1, len(subjects) // PAIRS_ON_SHEET)][:PAIRS_ON_SHEET]
        write_image(options.sheet, evaluation.prompt_sheet(fusion, shown, options.prompts))
    return 0


def _run_wordings(options: EvaluatePrompts, fusion: 'TextFusion', subjects: list['Subject']) -> int:
    from ldfusion_training.evaluation import prompts as evaluation
    from ldfusion_training.language.wording import HELD_OUT

    if not options.dataset:
        raise InputError('--wordings: give --dataset; of real pairs nobody labelled roads, trees and buildings')
    kinds = dict(zip(PROMPTS, CLASSES, strict=True))
    scores = evaluation.score_wordings(fusion, subjects, HELD_OUT, kinds)
    _show(options, evaluation.wording_report(scores), {each.wording: asdict(each) for each in scores})
    return 0


def run_guidance(options: EvaluateGuidance = NO_DATA) -> int:
    """Measure each row of the ablation."""
    from ldfusion_models.language.guidance import PairCaptioner
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation import prompts as evaluation
    from ldfusion_training.language.named import most_telling_names, text_of

    _require_one(options)
    fusion = evaluation.TextFusion(options.weights, options.text_encoder)
    if options.dataset:
        named = [(frame, most_telling_names(frame)) for frame in open_simulation(options.dataset)[:: options.every]]
        subjects = [subject for frame, names in named for subject in evaluation.simulated_subjects([frame], names)]
        texts = [text_of(names) for _, names in named]
    else:
        subjects = _labelled(options)
        captioner = PairCaptioner.load(weights=options.weights)
        texts = [captioner(subject.pair.visible, subject.pair.thermal).named for subject in subjects]
    rows, by_pair = evaluation.score_texts(fusion, subjects, texts, options.rows)
    report, content = evaluation.text_report(rows), {**rows}
    if {'own', 'shuffled'} <= by_pair.keys():
        chance = evaluation.permutation_test(by_pair['own'] - by_pair['shuffled'])
        report += f'\n\nContrast, own against shuffled: p = {chance:.5f} (permutation test of pairs).'
        content['own against shuffled'] = {'p': chance}
    _show(options, report, content)
    return 0


def _require_one(options: EvaluatePrompts | EvaluateGuidance) -> None:
    if (options.dataset is None) == (options.pairs is None):
        raise InputError('give --dataset or --pairs, one of them')


def _labelled(options: EvaluatePrompts | EvaluateGuidance) -> list['Subject']:
    """The labelled real pairs."""
    from ldfusion_training.evaluation.prompts import labelled_subjects
    from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs

    assert options.pairs
    seen = [pair for pair in read_real_pairs() if pair.split == options.split][:: options.every]
    return list(labelled_subjects(open_labelled(seen, options.pairs)))


def _show(options: EvaluatePrompts | EvaluateGuidance, table: str, content: Mapping[str, object]) -> None:
    print(table)
    if options.json:
        write_json(options.json, content)
    if options.markdown:
        write_text(options.markdown, table)
