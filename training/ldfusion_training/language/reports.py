"""The measurements behind ``ldfusion evaluate captions`` and ``evaluate text``."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ldfusion_models.language.captioner import Captioner
from ldfusion_models.language.captions import caption
from ldfusion_models.language.facts import Facts
from ldfusion_models.language.text import TextEncoder
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.language.evaluation import (
    CaptionScores,
    RetrievalScores,
    majority_facts,
    retrieval_rank,
    score_aspect,
    score_captions,
    truth_of,
)
from ldfusion_training.language.facts import change_aspect, most_telling
from ldfusion_training.language.scenes import LabelledScene, facts_seen
from ldfusion_training.language.wording import reword
from ldfusion_training.report.tables import markdown_table

ASPECTS = ('object', 'distance', 'side', 'light', 'weather')


def measure_captions(
    scenes: Sequence[LabelledScene], weights: Path | None = None, progress: Callable[[], object] | None = None
) -> tuple[dict[str, CaptionScores], list[dict[str, str]]]:
    """Captions of both cameras with the branches' depth and with true depth, and the baseline that looks at nothing.

    Returns:
        Scores by source of the captions, and all captions.
    """
    scores: dict[str, CaptionScores] = {}
    written: list[dict[str, str]] = [{'scene': scene.name} for scene in scenes]
    for modality in ('visible', 'thermal'):
        thermal = modality == 'thermal'
        captioner, estimator = Captioner.load(modality, weights), DepthEstimator.load(modality, weights)
        truths = [truth_of(scene, thermal) for scene in scenes]
        estimated, true = [], []
        for scene, record in zip(scenes, written, strict=True):
            image = scene.image(thermal)
            depth = estimator(image[..., 0] if thermal else image, scene.focal)
            estimated.append(captioner.describe(image, depth).text)
            true.append(captioner.describe(image, scene.depth).text)
            record[modality] = estimated[-1]
            if progress:
                progress()
        baseline = caption(majority_facts(truths), thermal)
        scores[modality] = score_captions(truths, estimated)
        scores[f'{modality}, true depth'] = score_captions(truths, true)
        scores[f'{modality}, majority'] = score_captions(truths, [baseline] * len(truths))
        for record, truth in zip(written, truths, strict=True):
            record[f'{modality} truth'] = caption(truth.wanted, thermal)
    return scores, written


def measure_text(
    encoder: TextEncoder, scenes: Sequence[LabelledScene]
) -> tuple[dict[str, RetrievalScores], tuple[float, float]]:
    """Whether embeddings join wordings and separate facts, on the facts of ``scenes``.

    Returns:
        Scores by aspect, and how often a text's other wording is the first or among the first five of all.
    """
    random = np.random.default_rng(0)
    facts = [_facts(scene) for scene in scenes]
    scores = {}
    for aspect in ASPECTS:
        triples = []
        for each in facts:
            other = change_aspect(random, each, aspect)
            if other != each:
                triples.append((reword(random, each), reword(random, each), reword(random, other)))
        scores[aspect] = score_aspect(encoder.encode, triples)
    return scores, retrieval_rank(encoder.encode, [(reword(random, each), reword(random, each)) for each in facts])


def text_report(name: str, scores: dict[str, RetrievalScores], ranks: tuple[float, float]) -> str:
    """Markdown."""
    header = [name, 'same facts', 'aspect changed', 'told apart', 'texts']
    rows: list[list[str | float]] = [
        [aspect, each.paraphrase, each.changed, each.separated, str(each.count)] for aspect, each in scores.items()
    ]
    found = f'The other wording comes first of all texts for {ranks[0]:.3f}, among the first five for {ranks[1]:.3f}.'
    return f'{markdown_table(header, rows)}\n\n{found}'


def _facts(scene: LabelledScene) -> Facts:
    seen = facts_seen(scene, thermal=True)
    return Facts(scene.place, scene.light, scene.weather, tuple(most_telling(seen.mentions)))
