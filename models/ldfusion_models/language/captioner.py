"""Depth-informed captions: an image and its depth in, a description of what is where, in metres, out.

After Ahmed et al. 2023: one encoder for the image and one for its depth, their features fused, a transformer decoder
that writes the words. One network serves both cameras: a modality vector says whose image it is, so that what it
learns of depth and of language from one camera serves the other.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.graph.manifest import Manifest, from_mapping, load_part, read_manifest
from ldfusion_models.networks.caption_words import MODALITIES, CaptionerConfig

if TYPE_CHECKING:
    from ldfusion_models.networks.captioner import CaptionNetwork

EMBEDDED = 'embedded'
PART = 'captioner'


class Captioner:
    """Describes images of one camera; in PyTorch, about once a second."""

    def __init__(self, network: 'CaptionNetwork', modality: str) -> None:
        """Take over a network in eval mode; ``modality`` is ``visible`` or ``thermal``.

        Raises:
            InputError: another modality.
        """
        if modality not in MODALITIES:
            raise InputError(f'modality {modality!r} is unknown; choose visible or thermal')
        self._network = network
        self._modality = MODALITIES.index(modality)

    @classmethod
    def load(cls, modality: str, weights: Path | None = None) -> 'Captioner':
        """Load the embedded captioner for one camera.

        Raises:
            InputError: no such modality, PyTorch is not installed, or weights are missing or damaged.
        """
        return cls(load_network(weights), modality)

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> str:
        """A caption of a few sentences.

        Args:
            image: (H, W, 3) RGB uint8, or (H, W) grey; a thermal image is grey.
            depth: (H, W) float32 metres, NaN where unknown.

        Raises:
            InputError: an image that is none, or depth of another size.
        """
        import torch

        pixels, metres = prepare(image, depth, self._network.config)
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255.0
        with torch.inference_mode():
            numbers = self._network.write(planes, torch.from_numpy(metres)[None, None], torch.tensor([self._modality]))
        return sentence([self._network.config.vocabulary[number] for number in numbers])


class Describer(Protocol):
    """Anything that describes images with depth, as ``Captioner`` does."""

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> str:
        """A caption of ``image`` (H, W, 3) or (H, W) uint8 with ``depth`` (H, W) metres."""
        ...


def load_captioners(setting: str = EMBEDDED, weights: Path | None = None) -> tuple[Describer, Describer]:
    """The captioners of the visible and of the thermal camera.

    Args:
        setting: ``embedded``, or a published captioner by its name in transformers or as a local folder.
        weights: folder of weights that holds the embedded captioner; None for those that came with the package.

    Raises:
        InputError: no such captioner, a package is not installed, or weights are missing or damaged.
    """
    if setting == EMBEDDED:
        network = load_network(weights)
        return Captioner(network, 'visible'), Captioner(network, 'thermal')
    from ldfusion_models.language.published_captioner import PublishedCaptioner

    published = PublishedCaptioner.load(setting)
    return published, published


def load_network(weights: Path | None = None) -> 'CaptionNetwork':
    """The embedded captioner's network in eval mode.

    Raises:
        InputError: PyTorch is not installed, or weights are missing or damaged.
    """
    try:
        from ldfusion_models.networks.captioner import CaptionNetwork
    except ImportError as error:
        raise InputError(f'captions need PyTorch ({error}): {how_to_install("language")}') from error
    manifest = read_manifest(weights)
    network = CaptionNetwork(config_of(manifest))
    load_part(network, manifest, PART)
    return network.eval()


def config_of(manifest: Manifest) -> CaptionerConfig:
    """The captioner's settings in a manifest.

    Raises:
        InputError: there is no captioner, or its settings are of another version.
    """
    source = str(manifest.folder / 'manifest.yaml')
    if 'config' not in manifest.parts.get(PART, {}):
        raise InputError(f'{source}: lists no captioner')
    return from_mapping(CaptionerConfig, manifest.parts[PART]['config'], source)


def prepare(
    image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32], config: CaptionerConfig
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Image (height, width, 3) and depth (height, width) at the network's size.

    Raises:
        InputError: an image that is none, or depth of another size.
    """
    pixels = as_rgb8(image)
    if depth.shape != pixels.shape[:2]:
        raise InputError(f'depth of shape {depth.shape} for an image of {pixels.shape[:2]}; they must be equal')
    size = (config.width, config.height)
    small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    # Nearest: a mean over an edge would be a thing in mid-air.
    metres: Any = cv2.resize(np.asarray(depth, np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return small, metres


def sentence(words: list[str]) -> str:
    """Words and punctuation as a text with capital letters."""
    text = ' '.join(words).replace(' .', '.').replace(' ,', ',')
    return re.sub(r'(^|\. )([a-z])', lambda found: found[1] + found[2].upper(), text)
