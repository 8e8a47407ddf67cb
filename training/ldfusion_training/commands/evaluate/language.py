"""``ldfusion evaluate captions`` and ``evaluate text``: what captions and text embeddings tell rightly."""

from pathlib import Path

from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_models.language.text import load_text_encoder
from ldfusion_training.evaluation.downstream import captions
from ldfusion_training.language import evaluation, reports
from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs
from ldfusion_training.language.scenes import read_scenes
from ldfusion_training.options.evaluate.language import EvaluateCaptions, EvaluateText
from ldfusion_training.report.caption_sheet import caption_sheet
from ldfusion_training.report.tables import show_report, write_json


def run_captions(options: EvaluateCaptions) -> int:
    """Measure the captioner."""
    if (options.scenes is None) == (options.pairs is None):
        raise InputError('give --scenes or --pairs, one of them')
    return _run_scenes(options, options.scenes) if options.scenes else _run_pairs(options)


def _run_pairs(options: EvaluateCaptions) -> int:
    assert options.pairs
    seen = [pair for pair in read_real_pairs() if pair.split == options.split][:: options.every]
    pairs = open_labelled(seen, options.pairs)
    captioner = PairCaptioner.load(weights=options.weights)
    with tqdm(total=len(pairs), unit='pair', disable=None) as bar:
        described = captions.describe_pairs(pairs, captioner, bar.update)
    written = [each for _, each in described]
    values = captions.summary([captions.score_pair(*each) for each in zip(seen, written, strict=True)])
    show_report(captions.report(values, len(pairs)), values, options.json, options.markdown)
    if options.captions:
        texts = {pair.name: {'seen': pair.text, 'caption': each.text} for pair, each in zip(seen, written, strict=True)}
        write_json(options.captions, texts)
    if options.sheet:
        write_image(options.sheet, caption_sheet(described))
    return 0


def _run_scenes(options: EvaluateCaptions, folder: Path) -> int:
    scenes = read_scenes([folder], [options.every])
    with tqdm(total=2 * len(scenes), unit='image') as bar:
        scores, written = reports.measure_captions(scenes, options.weights, bar.update)
    show_report(evaluation.caption_report(scores), evaluation.as_json(scores), options.json, options.markdown)
    if options.captions:
        write_json(options.captions, {each['scene']: each for each in written})
    return 0


def run_text(options: EvaluateText) -> int:
    """Measure a text encoder."""
    encoder = load_text_encoder(options.encoder)
    scores, ranks = reports.measure_text(encoder, read_scenes([options.scenes], [options.every]))
    content = {**evaluation.as_json(scores), 'first': ranks[0], 'first five': ranks[1]}
    show_report(reports.text_report(encoder.name, scores, ranks), content, options.json, options.markdown)
    return 0
