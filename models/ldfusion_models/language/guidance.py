"""What a pair of images says in words, or a person asks for: depth-informed captions, prompts, their embeddings."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8, as_uint8
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.choices import EMBEDDED, MINIMUM_SIZE
from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.language.captioner import MODALITIES, Describer, load_captioners
from ldfusion_models.language.captions import plural
from ldfusion_models.language.facts import Description
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_models.language.words import clean
from ldfusion_models.rig.depth_estimator import DepthEstimator

# What a text encoder of 77 tokens can read.
LONGEST_PROMPT = 300
# How strongly captions act, beside prompts, that somebody chose: of more, edges suffer more than can be spared.
CAPTION_STRENGTH = 0.14
# Unknown words that are named one by one.
WORDS_SHOWN = 8
# Captions need no more; the time for depth grows with the pixels.
LONGEST_SIDE = 640


@dataclass(frozen=True)
class Captions:
    """What is said of each camera; empty for a camera without image, or if the captioner said nothing."""

    visible: Description
    thermal: Description

    @property
    def text(self) -> str:
        """Both texts, one after the other, as the paper gives them to the text encoder."""
        return ' '.join(each.text for each in (self.visible, self.thermal) if each.text)

    @property
    def named(self) -> str:
        """The things that both texts tell of; of a captioner that gives no facts, its texts."""
        facts = [each.facts for each in (self.visible, self.thermal) if each.facts]
        names = dict.fromkeys(plural(mention.name) for each in facts for mention in each.mentions)
        return ' and '.join(names) if facts else self.text

    def as_json(self) -> dict[str, Any]:
        """The facts of each camera as ``docs/node.md`` describes them; null where a captioner gives none."""
        cameras = {'visible': self.visible, 'thermal': self.thermal}
        return {'version': 1} | {name: each.facts.as_json() if each.facts else None for name, each in cameras.items()}


@dataclass(frozen=True)
class Branch:
    """One camera's way from image to words."""

    depth: DepthEstimator
    captioner: Describer


class PairCaptioner:
    """Describes pairs: depth of each image by its own branch, then a caption of image and depth."""

    def __init__(self, visible: Branch, thermal: Branch) -> None:
        self._visible = visible
        self._thermal = thermal
        self._gain = GainControl(GainConfig(smoothing=0.0))

    @classmethod
    def load(cls, captioner: str = EMBEDDED, weights: Path | None = None, threads: int = 0) -> 'PairCaptioner':
        """Load captioners and both depth branches.

        Args:
            captioner: as ``ldfusion_models.language.captioner.load_captioners`` takes it.
            weights: folder of weights; None for those that came with the package.
            threads: of the networks of the package; 0: one a processor.

        Raises:
            InputError: weights are missing or damaged, or a published captioner needs what is not installed.
        """
        describers = load_captioners(captioner, weights, threads)
        branches = [DepthEstimator.load(modality, weights, threads) for modality in MODALITIES]
        return cls(*(Branch(*pair) for pair in zip(branches, describers, strict=True)))

    def __call__(
        self,
        visible: AnyImage | None,
        thermal: AnyImage | None,
        focal: float | None = None,
        thermal_focal: float | None = None,
    ) -> Captions:
        """Describe a pair, or one of its images.

        Args:
            visible: (H, W, 3) RGB or (H, W) grey, 8 or 16 bits; None for none.
            thermal: (h, w), 8 bits or 16-bit counts; None for none.
            focal: horizontal focal length in pixels at the visible image's size; None for the canonical camera's.
            thermal_focal: the same of the thermal image; None for a view like the visible camera's.

        Raises:
            InputError: an image that the networks can't take.
        """
        if thermal_focal is None and focal is not None and visible is not None and thermal is not None:
            thermal_focal = focal * thermal.shape[1] / visible.shape[1]
        if thermal is not None and min(thermal.shape[:2]) < MINIMUM_SIZE:
            thermal = None  # A few pixels can be fused, but not described.
        return Captions(
            Description() if visible is None else describe(as_rgb8(visible), self._visible, focal),
            Description() if thermal is None else describe(as_grey8(thermal, self._gain), self._thermal, thermal_focal),
        )


def describe(image: npt.NDArray[np.uint8], branch: Branch, focal: float | None) -> Description:
    """A caption of ``image`` (H, W, 3) or (H, W) with ``focal`` in pixels at this size."""
    height, width = image.shape[:2]
    if (scale := max(LONGEST_SIDE / max(width, height), MINIMUM_SIZE / min(width, height))) < 1:
        size = round(width * scale), round(height * scale)
        focal = None if focal is None else focal * size[0] / width
        image = as_uint8(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return branch.captioner.describe(image, branch.depth(image, focal))


def embedding_of(encoder: TextEncoder, text: str) -> npt.NDArray[np.float32]:
    """The embedding (D,) of what a text names; zeros, which change nothing, for one that names nothing."""
    embedding: npt.NDArray[np.float32] = encoder.encode_named([text])[0]
    return embedding


def embedding_of_captions(encoder: TextEncoder, captions: Captions) -> npt.NDArray[np.float32]:
    """The embedding (D,) of the things that captions tell of, of length ``CAPTION_STRENGTH``; zeros for none."""
    return (CAPTION_STRENGTH * embedding_of(encoder, captions.named)).astype(np.float32)


@dataclass(frozen=True)
class Prompt:
    """What a person asks for.

    Attributes:
        text: one line that can be printed, at most ``LONGEST_PROMPT`` characters; empty: nothing.
        ignored: what of it has no effect, in words.
    """

    text: str
    ignored: tuple[str, ...] = ()


def read_prompt(prompt: str, encoder: TextEncoder) -> Prompt:
    """A prompt as ``encoder`` takes it. Whatever it holds is taken as text, and what has no effect is named."""
    whole = clean(unicodedata.normalize('NFKC', prompt))
    text = whole if len(whole) <= LONGEST_PROMPT else whole[: LONGEST_PROMPT + 1].rpartition(' ')[0]
    text = text or whole[:LONGEST_PROMPT]
    reading = encoder.read(text)
    ignored = [f'cut after {len(text)} of {len(prompt)} characters'] if len(text) < len(whole) else []
    if reading.unknown:
        more = len(reading.unknown) - WORDS_SHOWN
        ignored.append(
            f'unknown, so without effect: {", ".join(reading.unknown[:WORDS_SHOWN])}'
            + (f' and {more} more' if more > 0 else '')
        )
    if reading.negated:
        ignored.append(f'what is not wanted has no effect: {", ".join(reading.negated)}')
    if text and not embedding_of(encoder, text).any():
        ignored.append('names nothing, so it changes nothing; name things in English, such as "people"')
    return Prompt(text, tuple(ignored))


def prompt_for(prompt: str, graph: GraphInfo, text_encoder: str = EMBEDDED) -> tuple[Prompt, npt.NDArray[np.float32]]:
    """A prompt for the weights of an engine, and its embedding (D,).

    Raises:
        InputError: the prompt is empty, or the weights were not trained with this text encoder.
    """
    if not graph.text_encoder:
        raise InputError('these weights were trained without text, so a prompt would change nothing; train modulation')
    encoder = load_text_encoder(text_encoder)
    if encoder.name != graph.text_encoder:
        raise InputError(f'text encoder is {encoder.name!r}, but these weights need {graph.text_encoder!r}')
    read = read_prompt(prompt, encoder)
    if not read.text:
        raise InputError('prompt is empty; name what matters, such as "people", or leave it out')
    return read, embedding_of(encoder, read.text)
