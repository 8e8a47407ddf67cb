"""``ldfusion evaluate captions`` and ``evaluate text``: what captions and text embeddings tell rightly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from ldfusion_training.commands.options import Count
from ldfusion_training.report.tables import write_json, write_text


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class EvaluateCaptions:
    """What captions of simulated scenes tell rightly.

    Writes captions of both cameras and compares them with the truth: objects, sides, distances, light and weather,
    beside a caption that is always the same. Prints the tables.
    """

    scenes: Path
    """data set of ldfusion simulate"""
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


def run_captions(options: EvaluateCaptions) -> int:
    """Measure the captioner."""
    from tqdm import tqdm

    from ldfusion_training.language import evaluation, reports
    from ldfusion_training.language.scenes import read_scenes

    scenes = read_scenes([options.scenes], [options.every])
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
