"""The released fusion for another text encoder: only what reads the embedding is learned, from texts alone.

Which classes are where is known to the context, whatever the encoder; a text only says which of them stand out. So no
image is needed, and the time is that of embedding some thousand texts.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from ldfusion_models.files import copy_file, written_whole
from ldfusion_models.graph.manifest import SHIPPED, load_frame_graph, read_manifest
from ldfusion_models.language.text import TextEncoder
from ldfusion_models.networks.modulation import SemanticModulation
from ldfusion_training.language.named import worded_names
from ldfusion_training.language.prompt_effect import classes_named
from ldfusion_training.stages.modulation import error_of_names, with_fresh_modulation
from ldfusion_training.stages.release import put

Embeddings = npt.NDArray[np.float32]
CACHE = 'embeddings.npz'
BATCH = 32
STEPS, RATE, DECAY = 300, 3e-3, 1.0
# Most texts name something of which there are few; most words that people may write name nothing.
NAMING_WEIGHT = 4.0
# Every so many texts are left out, and tell how well others are understood.
HELD_OUT = 5


def fit_fusion(encoder: TextEncoder, folder: Path, cache: Path) -> float:
    """Write the package's weights, for ``encoder`` in place of its own, to ``folder``.

    Args:
        encoder: another text encoder.
        folder: to write; what it held before goes when all is there.
        cache: file for the embeddings of the texts, which are not computed again.

    Returns:
        the part of the texts left out that name just the classes which they should.

    Raises:
        InputError: weights are missing, or a file can't be written.
    """
    texts = worded_names()
    graph, manifest = load_frame_graph()
    fusion = with_fresh_modulation(graph, encoder.dim, graph.config.fusion.context)
    fusion.modulation.context.load_state_dict(graph.fusion.modulation.context.state_dict())
    names = np.stack([classes_named(each) for each in texts.values()])
    right = fit_names(fusion.modulation.semantics, embeddings_of(encoder, list(texts), cache), names)
    settings = {'fusion': asdict(fusion.config), 'encoder_name': encoder.name}
    facts = {name: fact for name, fact in manifest.parts['fusion'].items() if name not in ('file', 'sha256')}
    facts['recipe'] = f"the package's own, its modulation fitted to {encoder.name} by {len(texts)} texts"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.begun') as temporary:
        begun = Path(temporary) / folder.name
        shutil.copytree(SHIPPED, begun, copy_function=copy_file)
        put(fusion.state_dict(), 'fusion', read_manifest(begun), settings, facts)
        shutil.rmtree(folder, ignore_errors=True)
        begun.rename(folder)
    return right


def fit_names(semantics: SemanticModulation, embeddings: Embeddings, names: npt.NDArray[np.bool_]) -> float:
    """Learn which classes ``names`` (N, C) each of ``embeddings`` (N, D) names; the part right of those left out."""
    texts, wanted = torch.from_numpy(embeddings), torch.from_numpy(names.astype(np.float32))
    left_out = torch.arange(len(texts)) % HELD_OUT == 0
    weights = 1.0 + (NAMING_WEIGHT - 1.0) * wanted.amax(dim=1)
    optimizer = torch.optim.AdamW(semantics.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in tqdm(range(STEPS), desc='fit', unit='step', disable=None):
        errors = error_of_names(semantics, texts[~left_out], wanted[~left_out])
        optimizer.zero_grad()
        (errors * weights[~left_out]).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        sigma, _ = semantics.of_text(texts[left_out])
    return float(((sigma > 0.5) == (wanted[left_out] > 0.5)).all(dim=1).float().mean())


def embeddings_of(encoder: TextEncoder, texts: Sequence[str], cache: Path) -> Embeddings:
    """Embeddings (N, D) of texts, kept in the file ``cache`` for the next time.

    Raises:
        InputError: the file can't be written.
    """
    key = hashlib.sha256('\n'.join([encoder.name, *texts]).encode()).hexdigest()
    if cache.is_file():
        with np.load(cache) as kept:
            if str(kept['key']) == key:
                return np.asarray(kept['embeddings'], np.float32)
    batches = tqdm(range(0, len(texts), BATCH), desc=encoder.name, unit='batch', disable=None)
    found = np.concatenate([encoder.encode_named(texts[start : start + BATCH]) for start in batches])
    with written_whole(cache) as temporary:
        np.savez(temporary, key=key, embeddings=found)
    return found
