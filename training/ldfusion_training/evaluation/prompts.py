"""Do texts act as they mean? Contrast of things under prompts, and the ablation without text and with others' texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from ldfusion_models.camera.images import as_uint8
from ldfusion_models.choices import EMBEDDED
from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import load_frame_graph
from ldfusion_models.language.guidance import CAPTION_STRENGTH, embedding_of
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.language.prompt_effect import (
    SURFACES,
    Luminance,
    Mask,
    contrast_of_things,
    contrast_within,
    mask_of,
)
from ldfusion_training.language.real_pairs import LabelledPair
from ldfusion_training.metrics import FusionMetrics, evaluate_fusion, mean_metrics, to_grey
from ldfusion_training.report.pictures import Row, contact_sheet
from ldfusion_training.report.tables import markdown_table
from ldfusion_training.stages.pairs_in_memory import as_tensors

NO_TEXT = 'no text'
# What real pairs tell of, and how far in pixels ``rest`` stays away from things.
REST = 'rest'
REAL_KINDS = ('person', 'car', REST)
AROUND = 16
FLIPS = 100_000
SHEET_CELL = (320, 240)


class TextFusion:
    """The fusion with text: features of a pair once, then one fused image for each text."""

    def __init__(self, weights: Path | None = None, text_encoder: str = EMBEDDED) -> None:
        """Load weights and encoder.

        Raises:
            InputError: they are missing, damaged, or do not belong together.
        """
        self._graph, manifest = load_frame_graph(weights)
        self.encoder: TextEncoder = load_text_encoder(text_encoder)
        if manifest.text_encoder != self.encoder.name:
            raise InputError(
                f'text encoder is {self.encoder.name!r}, but these weights need {manifest.text_encoder or "none"!r}'
            )
        self.weights_id = manifest.weights_id

    @torch.inference_mode()
    def __call__(self, pair: Pair, embeddings: Sequence[npt.NDArray[np.float32]]) -> list[Image8]:
        """Fused images (H, W, 3) of one pair, one for each embedding (D,)."""
        height, width = pair.thermal.shape
        stride = self._graph.config.denoiser.stride
        border = (0, -height % stride, 0, -width % stride, cv2.BORDER_REPLICATE)
        padded = (as_uint8(cv2.copyMakeBorder(image, *border)) for image in (pair.visible, pair.thermal))
        visible, thermal = as_tensors(Pair(*padded))
        features = self._graph.extractor(visible, thermal)
        fused = (
            self._graph.fusion(visible, thermal, features, torch.from_numpy(embedding)[None])
            for embedding in embeddings
        )
        return [
            (image[0, :, :height, :width].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            for image in fused
        ]

    def method(self, name: str, prompt: str = '') -> Method:
        """The fusion under one prompt, to be measured beside others."""
        (embedding,) = self.embeddings([prompt])
        return Method(name, lambda _, pair: self(pair, [embedding])[0])

    def embeddings(self, prompts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Embeddings of prompts; zeros for one that says nothing."""
        return [embedding_of(self.encoder, prompt) for prompt in prompts]


@dataclass(frozen=True)
class Subject:
    """A pair, and how to measure the contrast of each kind of thing in a luminance image (H, W) of it."""

    name: str
    pair: Pair
    contrasts: Mapping[str, Callable[[Luminance], list[float]]]


@dataclass(frozen=True)
class WordingScore:
    """A wording, what the encoder is given of it, and its effect as a part of that of the class's own word."""

    word: str
    wording: str
    read_as: str
    share: float


@dataclass
class PromptScores:
    """Contrast by prompt and kind, one value per pair that has such things; the first prompt is no text."""

    prompts: tuple[str, ...]
    kinds: tuple[str, ...]
    contrasts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    changes: dict[str, list[float]] = field(default_factory=dict)

    def values(self, prompt: str, kind: str) -> npt.NDArray[np.float64]:
        """One value for each pair that has such things."""
        return np.array([found[prompt][kind] for found in self.contrasts.values() if kind in found[prompt]])

    def ratio(self, prompt: str, kind: str, to: str = NO_TEXT) -> float:
        """Mean contrast under a prompt, relative to that under another."""
        others = self.values(to, kind)
        return float(self.values(prompt, kind).mean() / others.mean()) if others.size else float('nan')

    def part_raised(self, prompt: str, kind: str) -> float:
        """Part of the pairs whose contrast is higher than without text."""
        others = self.values(NO_TEXT, kind)
        return float((self.values(prompt, kind) > others).mean()) if others.size else float('nan')


def simulated_subjects(frames: Sequence[SimulatedFrame], kinds: Sequence[str]) -> Iterator[Subject]:
    """Labelled subjects; ``kinds`` are classes as prompts name them."""
    for frame in frames:
        classes, instances = frame.read_classes(), frame.read_instances().astype(np.int32)
        masks = {kind: mask_of([kind], classes) for kind in kinds}
        measures = {kind: _measure(kind, mask, instances) for kind, mask in masks.items() if mask.any()}
        yield Subject(frame.name, frame.read_pair(), measures)


def _measure(kind: str, mask: Mask, instances: npt.NDArray[np.int32]) -> Callable[[Luminance], list[float]]:
    if kind in SURFACES:
        return partial(contrast_within, surface=mask)
    return partial(contrast_of_things, things=np.where(mask, instances, 0), excluded=mask)


def labelled_subjects(pairs: Iterable[LabelledPair]) -> Iterator[Subject]:
    """Labelled real pairs with ``REAL_KINDS``: a thing is the ellipse in its box, ``rest`` what no box is near."""
    for labelled in pairs:
        pair = labelled.source.read()
        things = {kind: np.zeros(pair.thermal.shape, np.int32) for kind in REAL_KINDS if kind != REST}
        boxes = np.zeros(pair.thermal.shape, np.uint8)
        for number, each in enumerate(labelled.seen.objects, 1):
            left, top, right, bottom = each.box
            boxes[top:bottom, left:right] = 1
            if each.name in things:
                middle, axes = ((left + right) // 2, (top + bottom) // 2), ((right - left) // 2, (bottom - top) // 2)
                cv2.ellipse(things[each.name], middle, axes, 0, 0, 360, number, cv2.FILLED)
        rest = ~cv2.dilate(boxes, np.ones((2 * AROUND + 1, 2 * AROUND + 1))).astype(bool)
        measures = {kind: partial(contrast_of_things, things=mask, excluded=boxes > 0) for kind, mask in things.items()}
        present = {kind: measures[kind] for kind, mask in things.items() if mask.any()}
        yield Subject(labelled.seen.name, pair, {**present, REST: partial(contrast_within, surface=rest)})


def score_prompts(
    fusion: TextFusion, subjects: Iterable[Subject], prompts: Sequence[str], kinds: Sequence[str]
) -> PromptScores:
    """Fuse every pair with every prompt and without text, and measure.

    Raises:
        InputError: a prompt that can't be one.
    """
    scores = PromptScores((NO_TEXT, *prompts), tuple(kinds))
    embeddings = fusion.embeddings(['', *prompts])
    for subject in subjects:
        images = fusion(subject.pair, embeddings)
        found: dict[str, dict[str, float]] = {}
        for prompt, image in zip(scores.prompts, images, strict=True):
            luma = to_grey(image).astype(np.float32) / np.float32(255.0)
            contrasts = {kind: measure(luma) for kind, measure in subject.contrasts.items()}
            found[prompt] = {kind: float(np.mean(values)) for kind, values in contrasts.items() if values}
            change = np.abs(image.astype(np.int16) - images[0]).mean()
            scores.changes.setdefault(prompt, []).append(float(change))
        scores.contrasts[subject.name] = found
    return scores


def prompt_report(scores: PromptScores) -> str:
    """Markdown: contrast of each kind under each prompt relative to no text, and in how many pairs it rose."""
    header = ['prompt', *(f'{kind} (rises in)' for kind in scores.kinds), 'change, grey levels']
    rows: list[list[str | float]] = []
    for prompt in scores.prompts:
        cells: list[str | float] = [prompt]
        for kind in scores.kinds:
            if not scores.values(NO_TEXT, kind).size:
                cells.append('-')
            elif prompt == NO_TEXT:
                cells.append(f'1 ({scores.values(NO_TEXT, kind).mean():.3f})')
            else:
                cells.append(f'{scores.ratio(prompt, kind):.3f} ({100 * scores.part_raised(prompt, kind):.0f} %)')
        rows.append([*cells, float(np.mean(scores.changes[prompt]))])
    return markdown_table(header, rows)


def prompts_as_json(scores: PromptScores, fusion: TextFusion) -> dict[str, Any]:
    """All values: means and per pair."""
    return {
        'weights': fusion.weights_id,
        'text_encoder': fusion.encoder.name,
        'pairs': len(scores.contrasts),
        'relative_contrast': {
            prompt: {kind: scores.ratio(prompt, kind) for kind in scores.kinds} for prompt in scores.prompts
        },
        'part_of_pairs_raised': {
            prompt: {kind: scores.part_raised(prompt, kind) for kind in scores.kinds} for prompt in scores.prompts
        },
        'contrast_by_pair': scores.contrasts,
    }


def prompt_sheet(fusion: TextFusion, subjects: Sequence[Subject], prompts: Sequence[str]) -> Image8:
    """Visible, thermal, fused without text and with each prompt, one row per pair."""
    embeddings = fusion.embeddings(['', *prompts])
    rows = []
    for subject in subjects:
        images = fusion(subject.pair, embeddings)
        rows.append(Row(subject.name, (subject.pair.visible, subject.pair.thermal, *images)))
    return contact_sheet(('visible', 'thermal', NO_TEXT, *prompts), rows, SHEET_CELL)


def score_texts(
    fusion: TextFusion, subjects: Sequence[Subject], texts: Sequence[str], rows: Sequence[str]
) -> tuple[dict[str, dict[str, float]], dict[str, npt.NDArray[np.float64]]]:
    """Fuse every pair without text, with its own, and with another pair's.

    Args:
        fusion: what fuses.
        subjects: pairs; the contrast of their things is measured.
        texts: of each pair, which act as strongly as captions do.
        rows: which of ``none``, ``own``, ``shuffled``.

    Returns:
        by row the means of ``contrast`` and of the usual measures, and each pair's contrast, NaN without things.
    """
    embeddings = (CAPTION_STRENGTH * np.stack(fusion.embeddings(texts))).astype(np.float32)
    # Far enough to leave the scene, whose frames follow each other and resemble.
    shuffled = np.roll(embeddings, len(subjects) // 2, axis=0)
    chosen = {'none': np.zeros_like(embeddings), 'own': embeddings, 'shuffled': shuffled}
    contrasts: dict[str, list[float]] = {row: [] for row in rows}
    metrics: dict[str, list[FusionMetrics]] = {row: [] for row in rows}
    for number, subject in enumerate(subjects):
        sources = to_grey(subject.pair.visible), subject.pair.thermal
        images = fusion(subject.pair, [chosen[row][number] for row in rows])
        for row, image in zip(rows, images, strict=True):
            luma = to_grey(image).astype(np.float32) / np.float32(255.0)
            things = [v for kind, measure in subject.contrasts.items() if kind != REST for v in measure(luma)]
            contrasts[row].append(float(np.mean(things)) if things else float('nan'))
            metrics[row].append(evaluate_fusion(*sources, to_grey(image)))
    by_pair = {row: np.array(values) for row, values in contrasts.items()}
    return {
        row: {'contrast': float(np.nanmean(by_pair[row])), **asdict(mean_metrics(metrics[row]))} for row in rows
    }, by_pair


def permutation_test(differences: npt.NDArray[np.float64]) -> float:
    """How likely a mean as far from zero is if signs are by chance, two-sided; NaN are left out.

    Fisher's permutation test of paired values, by 100,000 random flips.
    """
    known = differences[np.isfinite(differences)]
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS, known.size))
    extreme = np.abs(signs @ known) >= abs(known.sum()) * (1 - 1e-9)
    return float((extreme.sum() + 1) / (FLIPS + 1))


def score_wordings(
    fusion: TextFusion, subjects: Sequence[Subject], wordings: Mapping[str, Sequence[str]], kinds: Mapping[str, str]
) -> list[WordingScore]:
    """How much of the effect of a class's own word each of its ``wordings`` has on the class's ``kinds``."""
    texts = [*wordings, *(wording for each in wordings.values() for wording in each)]
    # Many wordings are read as the same words.
    embeddings = dict(zip(texts, fusion.embeddings(texts), strict=True))
    distinct = {embedding.tobytes(): embedding for embedding in embeddings.values()}
    zeros = np.zeros(fusion.encoder.dim, np.float32)
    raised: dict[tuple[str, bytes], list[float]] = {}
    for subject in subjects:
        plain, *images = (
            to_grey(image).astype(np.float32) / np.float32(255.0)
            for image in fusion(subject.pair, [zeros, *distinct.values()])
        )
        for kind, measure in subject.contrasts.items():
            before = measure(plain)
            for key, luma in zip(distinct, images if before else [], strict=bool(before)):
                raised.setdefault((kind, key), []).append(float(np.mean(measure(luma)) - np.mean(before)))
    scores = []
    for word, kind in kinds.items():
        whole = np.mean(raised[kind, embeddings[word].tobytes()])
        scores += [
            WordingScore(
                word,
                wording,
                fusion.encoder.read(wording).named,
                float(np.mean(raised[kind, embeddings[wording].tobytes()]) / whole),
            )
            for wording in wordings[word]
        ]
    return scores


def wording_report(scores: Sequence[WordingScore]) -> str:
    """Markdown: each wording, and how many have 70 % and 90 % of the effect of the class's own word."""
    rows: list[list[str | float]] = [[each.word, each.wording, each.read_as, each.share] for each in scores]
    table = markdown_table(['own word', 'wording', 'read as', 'part of the effect'], rows)
    counts = [sum(each.share >= least for each in scores) for least in (0.7, 0.9)]
    return f'{table}\n\nOf {len(scores)}, {counts[0]} have at least 70 % and {counts[1]} at least 90 % of the effect.'


def text_report(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown table of the ablation."""
    header = ['text', *next(iter(rows.values()))]
    return markdown_table(header, [[row, *means.values()] for row, means in rows.items()])
