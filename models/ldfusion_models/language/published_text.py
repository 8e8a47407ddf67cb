"""Text towers of open_clip in PyTorch, from local files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.files import sha256_of
from ldfusion_models.published.store import local_model


class PublishedTower:
    """A text tower of open_clip; every word counts as known."""

    def __init__(self, model: Any, tokenize: Any) -> None:
        """Take over an open_clip ``model`` in eval mode and its tokenizer."""
        self._model = model
        self._tokenize = tokenize

    @classmethod
    def load(cls, setting: str) -> 'tuple[str, PublishedTower]':
        """The name and the tower of a setting of :func:`ldfusion_models.language.text.load_text_encoder`.

        Raises:
            InputError: open_clip is not installed, or there is no such model here.
        """
        try:
            import open_clip
        except ImportError as error:
            remedy = how_to_install('language')
            raise InputError(f'{setting}: needs the Python package open_clip ({error}): {remedy}') from error
        folder = local_model(setting)
        name = _name_of_folder(folder)
        source = f'local-dir:{folder}'
        try:
            model: Any = open_clip.create_model(source)
            tokenize = open_clip.get_tokenizer(source)
        except Exception as error:  # a damaged folder fails in many places
            raise InputError(f'{folder}: not a text encoder in open_clip format ({error})') from error
        # Half of the model or more, and never used here.
        del model.visual
        return name, cls(model.eval(), tokenize)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors (N, dim) of texts; what is beyond the context is not read."""
        import torch

        with torch.inference_mode():
            embeddings = self._model.encode_text(self._tokenize(list(texts)), normalize=True).numpy()
        return np.asarray(embeddings, np.float32)

    def knows(self, word: str) -> bool:
        """Whether a word was learned: published models have seen everything."""
        return bool(word)

    def understands(self, text: str) -> bool:
        """Whether a text says something."""
        return bool(text)


def _name_of_folder(folder: Path) -> str:
    weights = sorted(folder.glob('*.safetensors'))
    if not weights:
        raise InputError(f'{folder}: holds no safetensors beside open_clip_config.json; pickled weights are not loaded')
    return f'{folder.resolve().name}-{sha256_of(weights[0])[:12]}'
