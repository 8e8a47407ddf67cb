"""The frozen CLIP text encoder: texts to unit vectors that modulate the fusion.

The embedded encoder is a small CLIP that this project trained with open_clip (stage ``clip``); it lies beside the
other weights in open_clip's own format. Any other model of open_clip that was fetched is a setting; nothing is
downloaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.choices import EMBEDDED
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.files import sha256_of
from ldfusion_models.graph.manifest import read_manifest
from ldfusion_models.language.words import Reading, clean, read_lexicon, read_words
from ldfusion_models.published.store import local_model

PART, WORDS = 'text', 'words'
# Texts that are encoded at once.
BATCH = 256


class TextEncoder:
    """A text tower with its tokenizer.

    Attributes:
        name: of the encoder and its weights; embeddings of different names must not be mixed.
        dim: length of an embedding.
    """

    def __init__(self, name: str, model: Any, tokenize: Any, lexicon: Mapping[str, str]) -> None:
        """Take over an open_clip ``model`` in eval mode, its tokenizer, and what words mean that it never learned."""
        self.name = name
        self._lexicon = lexicon
        self._model = model
        self._tokenize = tokenize
        self._meaning = _tokens_with_meaning(model, tokenize)
        self.dim = int(self._forward(['a']).shape[1])

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
        rows = [row for row, text in enumerate(cleaned) if self._understands(text)]
        if rows:
            embeddings[rows] = self._forward([cleaned[row] for row in rows])
        return embeddings

    def read(self, text: str) -> Reading:
        """What the encoder is given of a text: words that it never learned are said in words that it knows."""
        cleaned = clean(text)
        return read_words(cleaned, self._lexicon, self._is_known) if self._lexicon else Reading(cleaned, cleaned)

    def _is_known(self, word: str) -> bool:
        return self._meaning is None or bool(self._meaning[self._tokenize.encode(word)].all())

    def _forward(self, texts: list[str]) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            parts = [
                self._model.encode_text(self._tokenize(texts[start : start + BATCH]), normalize=True).numpy()
                for start in range(0, len(texts), BATCH)
            ]
        return np.concatenate(parts).astype(np.float32)

    def _understands(self, text: str) -> bool:
        if not text or self._meaning is None:
            return bool(text)
        return bool(self._meaning[self._tokenize([text])[0].numpy()].any())


def load_text_encoder(setting: str = EMBEDDED, weights: Path | None = None) -> TextEncoder:
    """Load a frozen text encoder.

    Args:
        setting: ``embedded``; one that ``ldfusion models fetch`` has brought, by its name on the hub or, where
            ``models list`` knows it, by open_clip's, such as ``ViT-B-32/openai``; or a local folder in open_clip's
            format (``open_clip_config.json`` with weights beside it).
        weights: folder of weights that holds the embedded encoder; None for those that came with the package.

    Raises:
        InputError: open_clip is not installed, or there is no such model here.
    """
    try:
        import open_clip  # noqa: F401
    except ImportError as error:
        raise InputError(f'text needs the Python package open_clip ({error}): {how_to_install("language")}') from error
    if setting == EMBEDDED:
        manifest = read_manifest(weights)
        file, words = manifest.verify(PART), manifest.verify(PART, WORDS)
        return _from_folder(file.parent, f'{EMBEDDED}-{sha256_of(file)[:12]}', read_lexicon(words))
    folder = local_model(setting)
    return _from_folder(folder, _name_of_folder(folder))


def _from_folder(folder: Path, name: str, lexicon: Mapping[str, str] | None = None) -> TextEncoder:
    import open_clip

    source = f'local-dir:{folder}'
    try:
        model = open_clip.create_model(source)
        tokenize = open_clip.get_tokenizer(source)
    except Exception as error:  # a damaged folder fails in many places
        raise InputError(f'{folder}: not a text encoder in open_clip format ({error})') from error
    return _encoder(name, model, tokenize, lexicon or {})


def _encoder(name: str, model: Any, tokenize: Any, lexicon: Mapping[str, str]) -> TextEncoder:
    model.eval()
    # Half of the model or more, and never used here.
    del model.visual
    return TextEncoder(name, model, tokenize, lexicon)


def _name_of_folder(folder: Path) -> str:
    weights = sorted(folder.glob('*.safetensors'))
    if not weights:
        raise InputError(f'{folder}: holds no safetensors beside open_clip_config.json; pickled weights are not loaded')
    return f'{folder.resolve().name}-{sha256_of(weights[0])[:12]}'


def _tokens_with_meaning(model: Any, tokenize: Any) -> npt.NDArray[np.bool_] | None:
    """Which tokens are words that the encoder has learned: stage ``clip`` leaves those that it never saw at zero.

    None where all count, as in published models.
    """
    from open_clip import SimpleTokenizer

    embedding = getattr(model, 'token_embedding', None)
    if embedding is None or not isinstance(tokenize, SimpleTokenizer):
        return None
    learned: npt.NDArray[np.bool_] = (embedding.weight.detach() != 0).any(dim=1).numpy()
    if learned.all():
        return None
    for token, word in tokenize.decoder.items():
        learned[token] &= any(letter.isalnum() for letter in word.removesuffix('</w>'))
    learned[tokenize.all_special_ids] = False
    # Padding is token 0, which is also an exclamation mark.
    learned[0] = False
    return learned
