"""``ldfusion evaluate captions`` and ``evaluate text``: what captions and text embeddings tell rightly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_training.commands.options import Count
from ldfusion_training.report.tables import write_json, write_text


@Parameter(name='*')
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
    sheet: Path | None = None
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


@Parameter(name='*')
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
    encoder: str = 'embedded'
    """embedded, ARCH/PRETRAINED of open_clip, or a folder"""


NO_CAPTIONS = EvaluateCaptions()


def run_captions(options: EvaluateCaptions = NO_CAPTIONS) -> int:
    """Measure the captioner."""
    if (options.scenes is None) == (options.pairs is None):
        raise InputError('give --scenes or --pairs, one of them')
    return _run_scenes(options, options.scenes) if options.scenes else _run_pairs(options)


def _run_pairs(options: EvaluateCaptions) -> int:
    from tqdm import tqdm

    from ldfusion_models.files import write_image
    from ldfusion_models.language.guidance import PairCaptioner
    from ldfusion_training.evaluation.downstream import captions as evaluation
    from ldfusion_training.language.real_pairs import open_labelled, read_real_pairs
    from ldfusion_training.report.caption_sheet import caption_sheet

    assert options.pairs
    seen = [pair for pair in read_real_pairs() if pair.split == options.split][:: options.every]
    pairs = open_labelled(seen, options.pairs)
    captioner = PairCaptioner.load(weights=options.weights)
    with tqdm(total=len(pairs), unit='pair', disable=None) as bar:
        described = evaluation.describe_pairs(pairs, captioner, bar.update)
    told = [captions for _, captions in described]
    values = evaluation.summary([evaluation.score_pair(*each) for each in zip(seen, told, strict=True)])
    _report(options, evaluation.report(values, len(pairs)), dict(values))
    if options.captions:
        texts = {pair.name: {'seen': pair.text, 'caption': each.text} for pair, each in zip(seen, told, strict=True)}
        write_json(options.captions, texts)
    if options.sheet:
        write_image(options.sheet, caption_sheet(described))
    return 0


def _run_scenes(options: EvaluateCaptions, folder: Path) -> int:
    from tqdm import tqdm

    from ldfusion_training.language import evaluation, reports
    from ldfusion_training.language.scenes import read_scenes

    scenes = read_scenes([folder], [options.every])
    with tqdm(total=2 * len(scenes), unit='image') as bar:
        scores, captions = reports.measure_captions(scenes, options.weights, bar.update)
    _report(options, evaluation.caption_report(scores), evaluation.as_json(scores))
    if options.captions:
        write_json(options.captions, {each['scene']: each for each in captions})
    return 0


def run_text(options: EvaluateText) -> int:
    """Measure a text encoder."""
    from ldfusion_models.language.text import load_text_encoder
    from ldfusion_training.language import evaluation, reports
    from ldfusion_training.language.scenes import read_scenes

    encoder = load_text_encoder(options.encoder)
    scores, ranks = reports.measure_text(encoder, read_scenes([options.scenes], [options.every]))
    content = {**evaluation.as_json(scores), 'first': ranks[0], 'first five': ranks[1]}
    _report(options, reports.text_report(encoder.name, scores, ranks), content)
    return 0


def _report(options: EvaluateCaptions | EvaluateText, text: str, content: dict[str, Any]) -> None:
    print(text)
    if options.json:
        write_json(options.json, content)
    if options.markdown:
        write_text(options.markdown, text)
