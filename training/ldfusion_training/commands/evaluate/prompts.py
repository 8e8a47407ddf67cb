"""``ldfusion evaluate prompts`` and ``evaluate guidance``: what texts do to the fused image."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_training.data.simulated import open_simulation
from ldfusion_training.language.named import most_telling_names, text_of
from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs
from ldfusion_training.language.wording import HELD_OUT
from ldfusion_training.options.evaluate.prompts import CLASSES, PROMPTS, EvaluateGuidance, EvaluatePrompts
from ldfusion_training.report.tables import show_report

if TYPE_CHECKING:
    from ldfusion_training.evaluation.prompts import Subject, TextFusion

PAIRS_ON_SHEET = 6


def run_prompts(options: EvaluatePrompts) -> int:
    """Measure every prompt on every pair."""
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
    content = evaluation.prompts_as_json(scores, fusion)
    show_report(evaluation.prompt_report(scores), content, options.json, options.markdown)
    if options.sheet:
        shown = subjects[:: max(1, len(subjects) // PAIRS_ON_SHEET)][:PAIRS_ON_SHEET]
        write_image(options.sheet, evaluation.prompt_sheet(fusion, shown, options.prompts))
    return 0


def _run_wordings(options: EvaluatePrompts, fusion: 'TextFusion', subjects: list['Subject']) -> int:
    from ldfusion_training.evaluation import prompts as evaluation

    if not options.dataset:
        raise InputError('--wordings: give --dataset; of real pairs nobody labelled roads, trees and buildings')
    kinds = dict(zip(PROMPTS, CLASSES, strict=True))
    scores = evaluation.score_wordings(fusion, subjects, HELD_OUT, kinds)
    content = {each.wording: asdict(each) for each in scores}
    show_report(evaluation.wording_report(scores), content, options.json, options.markdown)
    return 0


def run_guidance(options: EvaluateGuidance) -> int:
    """Measure each row of the ablation."""
    from ldfusion_training.evaluation import prompts as evaluation

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
    show_report(report, content, options.json, options.markdown)
    return 0


def _require_one(options: EvaluatePrompts | EvaluateGuidance) -> None:
    if (options.dataset is None) == (options.pairs is None):
        raise InputError('give --dataset or --pairs, one of them')


def _labelled(options: EvaluatePrompts | EvaluateGuidance) -> list['Subject']:
    """The labelled real pairs."""
    from ldfusion_training.evaluation.prompts import labelled_subjects

    assert options.pairs
    seen = [pair for pair in read_real_pairs() if pair.split == options.split][:: options.every]
    return list(labelled_subjects(open_labelled(seen, options.pairs)))
