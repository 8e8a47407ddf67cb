"""Do texts act as they mean? Contrast of things under prompts, and the ablation without text and with others' texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from ldfusion_models.camera.images import as_uint8
from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import load_frame_graph
from ldfusion_models.language.guidance import embedding_of
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_training.data.pairs import Image8, Pair, PairSource
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.language.pair_texts import PairText
from ldfusion_training.language.prompt_effect import (
    SURFACES,
    Luminance,
    Mask,
    contrast_of_things,
    contrast_within,
    hot_spots,
    mask_of,
)
from ldfusion_training.metrics import FusionMetrics, evaluate_fusion, mean_metrics, to_grey
from ldfusion_training.report.pictures import Row, contact_sheet
from ldfusion_training.report.tables import markdown_table
from ldfusion_training.stages.pairs_in_memory import as_planes

NO_TEXT = 'no text'
SHEET_CELL = (320, 240)


class TextFusion:
    """The fusion with text: features of a pair once, then one fused image for each text."""

    def __init__(self, weights: Path | None = None, text_encoder: str = 'embedded') -> None:
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
        stride = self._graph.denoiser.config.stride
        border = (0, -height % stride, 0, -width % stride, cv2.BORDER_REPLICATE)
        padded = [as_uint8(cv2.copyMakeBorder(image, *border)) for image in (pair.visible, pair.thermal)]
        visible, thermal = (torch.from_numpy(as_planes(image))[None] for image in (padded[0], padded[1][..., None]))
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

    def part_raised(self, prompt: str, kind: str, to: str = NO_TEXT) -> float:
        """Part of the pairs whose contrast is higher than under another prompt."""
        others = self.values(to, kind)
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
        return lambda luma: contrast_within(luma, mask)
    return lambda luma: contrast_of_things(luma, np.where(mask, instances, 0), mask)


def real_subjects(sources: Sequence[PairSource]) -> Iterator[Subject]:
    """Unlabelled subjects: hot spots stand for people, and what is left for all else."""
    for source in sources:
        pair = source.read()
        spots = hot_spots(pair.thermal)
        yield Subject(source.name, pair, {'person': _spots_measure(spots)} if spots.any() else {})


def _spots_measure(spots: npt.NDArray[np.int32]) -> Callable[[Luminance], list[float]]:
    return lambda luma: contrast_of_things(luma, spots, spots > 0)


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
    fusion: TextFusion,
    frames: Sequence[SimulatedFrame],
    texts: Mapping[str, Sequence[PairText]],
    rows: Sequence[str],
    kind: str,
) -> dict[str, dict[str, float]]:
    """Fuse every pair without text, with its own, and with another pair's.

    Args:
        fusion: what fuses.
        frames: labelled pairs.
        texts: of every frame; the first of ``kind`` counts.
        rows: which of ``none``, ``own``, ``shuffled``.
        kind: ``caption`` or ``description``.

    Returns:
        by row the means of ``contrast``, of what the pairs' own texts name, and of the usual measures.
    """
    own = [next(text for text in texts[frame.name] if text.kind == kind) for frame in frames]
    embeddings = fusion.encoder.encode([text.text for text in own])
    # Far enough to leave the scene, whose frames follow each other and resemble.
    shuffled = np.roll(embeddings, len(frames) // 2, axis=0)
    chosen = {'none': np.zeros_like(embeddings), 'own': embeddings, 'shuffled': shuffled}
    contrasts: dict[str, list[float]] = {row: [] for row in rows}
    metrics: dict[str, list[FusionMetrics]] = {row: [] for row in rows}
    for number, (frame, text) in enumerate(zip(frames, own, strict=True)):
        (subject,) = simulated_subjects([frame], text.names)
        sources = to_grey(subject.pair.visible), subject.pair.thermal
        images = fusion(subject.pair, [chosen[row][number] for row in rows])
        for row, image in zip(rows, images, strict=True):
            luma = to_grey(image).astype(np.float32) / np.float32(255.0)
            contrasts[row] += [value for measure in subject.contrasts.values() for value in measure(luma)]
            metrics[row].append(evaluate_fusion(*sources, to_grey(image)))
    return {row: {'contrast': float(np.mean(contrasts[row])), **asdict(mean_metrics(metrics[row]))} for row in rows}


def text_report(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown table of the ablation."""
    header = ['text', *next(iter(rows.values()))]
    return markdown_table(header, [[row, *means.values()] for row, means in rows.items()])
