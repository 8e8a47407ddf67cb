"""The frozen CLIP text encoder: texts to unit vectors that modulate the fusion.

The embedded encoder is a small CLIP that this project trained with open_clip (stage ``clip``); it runs in ONNX Runtime
and knows some words only. Any other model of open_clip that was fetched is a setting (``published_text``); nothing is
downloaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.choices import EMBEDDED
from ldfusion_models.engines.onnxruntime_engine import open_part
from ldfusion_models.graph.manifest import read_initializers, read_manifest
from ldfusion_models.language.words import Reading, clean, read_lexicon, read_words

PART, WORDS, TOKENIZER = 'text', 'words', 'tokenizer'
# Texts that are encoded at once.
BATCH = 256
# Of the token embedding, one row a token; stage ``clip`` leaves those that it never saw at zero.
TOKEN_EMBEDDING = 'token_embedding.weight'


class TextTower(Protocol):
    """A text tower with its tokenizer."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors (N, dim) of at least one text; what is beyond the context is not read."""
        ...

    def knows(self, word: str) -> bool:
        """Whether a word was learned."""
        ...

    def understands(self, text: str) -> bool:
        """Whether there is a word in a text that was learned."""
        ...


class TextEncoder:
    """A text tower, and what words mean to it.

    Attributes:
        name: of the encoder and its weights; embeddings of different names must not be mixed.
        dim: length of an embedding.
    """

    def __init__(self, name: str, tower: TextTower, lexicon: Mapping[str, str]) -> None:
        """Take over a tower, and what words mean that it never learned."""
        self.name = name
        self._lexicon = lexicon
        self._tower = tower
        self.dim = int(tower.embed(['a']).shape[1])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings (N, dim), each of length 1.

        A text that says nothing to the encoder gives zeros, which is the same as no text: an empty one, or one of
        which the embedded encoder knows no word (another language). Control characters count as spaces. What is
        beyond the encoder's context is not read.
        """
        return self._encode([self.read(text).text for text in texts])

    def encode_named(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The same of what texts name, which is all that the fusion can act on; of published encoders, of all of it."""
        return self._encode([self.read(text).named for text in texts])

    def _encode(self, cleaned: list[str]) -> npt.NDArray[np.float32]:
        embeddings = np.zeros((len(cleaned), self.dim), np.float32)
        rows = [row for row, text in enumerate(cleaned) if text and self._tower.understands(text)]
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            embeddings[part] = self._tower.embed([cleaned[row] for row in part])
        return embeddings

    def read(self, text: str) -> Reading:
        """What the encoder is given of a text: words that it never learned are said in words that it knows."""
        cleaned = clean(text)
        return read_words(cleaned, self._lexicon, self._tower.knows) if self._lexicon else Reading(cleaned, cleaned)


class EmbeddedTower:
    """The text tower of the package, in ONNX Runtime; needs neither PyTorch nor open_clip."""

    def __init__(self, weights: Path | None = None, threads: int = 0) -> None:
        """Load it from a folder of weights, None for those that came with the package.

        Raises:
            InputError: weights are missing, damaged or without a text encoder.
        """
        from tokenizers import Tokenizer

        manifest = read_manifest(weights)
        self._session = open_part(PART, weights, threads)
        self._tokenizer = Tokenizer.from_file(str(manifest.verify(PART, TOKENIZER)))
        self._context: int = self._session.get_inputs()[0].shape[1]
        embedding = read_initializers(manifest, [PART])[f'{PART}.{TOKEN_EMBEDDING}']
        learned: npt.NDArray[np.bool_] = (embedding != 0).any(axis=1)
        for word, token in self._tokenizer.get_vocab().items():
            learned[token] &= any(letter.isalnum() for letter in word.removesuffix('</w>'))
        # The first token pads, and is also an exclamation mark; the last two begin and end texts.
        learned[[0, -2, -1]] = False
        self._learned = learned

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See :class:`TextTower`."""
        tokens = np.zeros((len(texts), self._context), np.int64)
        start, end = len(self._learned) - 2, len(self._learned) - 1
        for row, text in zip(tokens, texts, strict=True):
            numbers = [start, *self._tokens(text), end]
            row[: len(numbers)] = numbers
        embeddings: npt.NDArray[np.float32] = self._session.run(None, {'tokens': tokens})[0]
        return embeddings

    def knows(self, word: str) -> bool:
        """See :class:`TextTower`."""
        return bool(self._learned[self._tokenizer.encode(word).ids].all())

    def understands(self, text: str) -> bool:
        """See :class:`TextTower`."""
        return bool(self._learned[self._tokens(text)].any())

    def _tokens(self, text: str) -> list[int]:
        numbers: list[int] = self._tokenizer.encode(text).ids
        return numbers[: self._context - 2]


def load_text_encoder(setting: str = EMBEDDED, weights: Path | None = None, threads: int = 0) -> TextEncoder:
    """Load a frozen text encoder.

    Args:
        setting: ``embedded``; one that ``ldfusion models fetch`` has brought, by its name on the hub or, where
            ``models list`` knows it, by open_clip's, such as ``ViT-B-32/openai``; or a local folder in open_clip's
            format (``open_clip_config.json`` with weights beside it).
        weights: folder of weights that holds the embedded encoder; None for those that came with the package.
        threads: of the embedded encoder; 0: one a processor.

    Raises:
        InputError: open_clip is not installed for a published model, or there is no such model here.
    """
    if setting != EMBEDDED:
        from ldfusion_models.language.published_text import PublishedTower

        name, published = PublishedTower.load(setting)
        return TextEncoder(name, published, {})
    manifest = read_manifest(weights)
    tower, lexicon = EmbeddedTower(weights, threads), read_lexicon(manifest.verify(PART, WORDS))
    # The tower has held its file to this sum.
    return TextEncoder(f'{EMBEDDED}-{manifest.parts[PART]["sha256"][:12]}', tower, lexicon)
