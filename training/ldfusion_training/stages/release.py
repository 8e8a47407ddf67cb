"""From checkpoints to shipped weights: float16 safetensors and their manifest."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import save as array_bytes
from safetensors.torch import save

from ldfusion_models.engines import proof
from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of, written_whole
from ldfusion_models.graph.frame_graph import FEATURES, FrameConfig, FrameGraph
from ldfusion_models.graph.manifest import (
    DEPTH_PARTS,
    LANGUAGE_PARTS,
    PAPER,
    PARTS,
    Manifest,
    read_manifest,
    write_manifest,
)
from ldfusion_models.graph.tracing import trace_branch, trace_captioner, trace_graph, trace_text_tower
from ldfusion_models.language import captioner, text
from ldfusion_models.mappings import from_mapping, plain
from ldfusion_models.networks.captioner import CaptionerConfig
from ldfusion_training.language.tokenizer import as_tokenizer
from ldfusion_training.report.tables import write_json
from ldfusion_training.runs.starting_weights import weights_in
from ldfusion_training.runs.trainer import read_checkpoint
from ldfusion_training.stages.clip import ClipNetworkConfig


def release(checkpoints: Sequence[Path], part: str, folder: Path, facts: dict[str, Any]) -> None:
    """Write one part's averaged weights into ``folder`` and list them in its manifest.

    Args:
        checkpoints: of the stage that trained the part; the mean of several runs from the same start is often better
            than each (Wortsman et al. 2022, "Model soups"), and so is that of a run and of what it started from: files
            of released weights may follow the first.
        part: one of ``PARTS`` or ``LANGUAGE_PARTS``.
        folder: of weights; made complete with untrained parts if it is new.
        facts: what the manifest says of the part: data, recipe, metrics, licence.

    Raises:
        InputError: a checkpoint lacks the part, several hold different networks, or the folder can't be written.
    """
    content = read_checkpoint(checkpoints[0])
    weights = _mean_weights(checkpoints, part)
    manifest = read_manifest(folder) if (folder / 'manifest.yaml').is_file() else _write_untrained(folder)
    if part in LANGUAGE_PARTS:
        network = content['settings']['network']
        if part == captioner.PART:
            entry = {**_write(weights, part, folder), 'config': plain(network)}
        else:
            entry = _write_text_encoder(weights, network, folder)
        entry['graph'] = _trace_language(part, entry, folder)
        write_manifest(dataclasses.replace(manifest, parts={**manifest.parts, part: {**entry, **facts}}))
        return
    put(weights, part, manifest, content.get('settings', {}), facts)


def put(
    weights: dict[str, torch.Tensor], part: str, manifest: Manifest, settings: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Write weights of one part of the frame graph, trained with ``settings``, into the manifest's folder.

    Raises:
        InputError: the folder can't be written.
    """
    entry = {**_write(weights, part, manifest.folder), **facts}
    if part == 'fusion':
        manifest = _adopt_text_encoder(manifest, settings)
    # Traced anew each time: the graph is that of the code which releases the weights.
    write_manifest(_trace(dataclasses.replace(manifest, parts={**manifest.parts, part: entry})))
    record_reference(manifest.folder)


def _mean_weights(checkpoints: Sequence[Path], part: str) -> dict[str, torch.Tensor]:
    """The averaged weights of each checkpoint, and of these the mean; counters are those of the first."""
    all_weights: list[dict[str, torch.Tensor]] = []
    for checkpoint in checkpoints:
        weights = weights_in(checkpoint, part)
        if not weights:
            raise InputError(f'{checkpoint}: holds no weights of {part!r}')
        if all_weights and {name: each.shape for name, each in weights.items()} != {
            name: each.shape for name, each in all_weights[0].items()
        }:
            raise InputError(f'{checkpoint}: holds another network than {checkpoints[0]}; no mean of the two')
        all_weights.append(weights)

    def mean(name: str) -> torch.Tensor:
        return torch.stack([weights[name].float() for weights in all_weights]).mean(0)

    return {name: mean(name) if each.is_floating_point() else each for name, each in all_weights[0].items()}


def record_reference(folder: Path) -> None:
    """Write what ONNX Runtime makes of the reference pair with these weights; engines prove themselves on it.

    Raises:
        InputError: weights are missing or damaged, or the folder can't be written.
    """
    reference = proof.Reference.compute(OnnxRuntimeEngine(folder))
    entry = _write_bytes(array_bytes(reference.arrays()), folder / proof.FILE, folder)
    write_manifest(dataclasses.replace(read_manifest(folder), reference=entry))


def _adopt_text_encoder(manifest: Manifest, settings: dict[str, Any]) -> Manifest:
    """The manifest for a fusion trained with these settings; only stage ``modulation`` learns from a text encoder."""
    fusion = {**manifest.config['fusion'], **plain(settings.get('fusion', {}))}
    config = {**manifest.config, 'fusion': fusion}
    return dataclasses.replace(manifest, config=config, text_encoder=settings.get('encoder_name', ''))


def _write(weights: dict[str, torch.Tensor], part: str, folder: Path) -> dict[str, Any]:
    path = folder / f'{part}.safetensors'
    _save_half(weights, path)
    return _entry(path, folder)


def _write_bytes(content: bytes, path: Path, folder: Path) -> dict[str, str]:
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
    return _entry(path, folder)


def _entry(path: Path, folder: Path) -> dict[str, str]:
    return {'file': path.relative_to(folder).as_posix(), 'sha256': sha256_of(path)}


def _save_half(weights: dict[str, torch.Tensor], path: Path) -> None:
    halved = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor for name, tensor in weights.items()
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(save(halved))


def _write_text_encoder(weights: dict[str, torch.Tensor], network: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The CLIP as a folder that open_clip loads by itself: its whole vocabulary, zeros for tokens never trained."""
    config = ClipNetworkConfig(**network)
    from open_clip import SimpleTokenizer

    settings = folder / text.PART / 'open_clip_config.json'
    file = folder / text.PART / 'open_clip_model.safetensors'
    tokens, known = weights.pop('tokens'), weights[text.TOKEN_EMBEDDING]
    embedding = known.new_zeros((config.model_cfg()['text_cfg']['vocab_size'], known.shape[1]))
    embedding[tokens] = known
    preprocess = {'mean': [0.5] * 3, 'std': [0.5] * 3, 'resize_mode': 'squash', 'interpolation': 'bilinear'}
    write_json(settings, {'model_cfg': config.model_cfg(), 'preprocess_cfg': preprocess})
    _save_half({**weights, text.TOKEN_EMBEDDING: embedding}, file)
    tokenizer = as_tokenizer(SimpleTokenizer()).to_str().encode()
    # Made by ldfusion_training.language.lexicon; what words mean does not depend on the weights.
    words = read_manifest().verify(text.PART, text.WORDS).read_bytes()
    return {
        **_entry(file, folder),
        'settings': _entry(settings, folder),
        text.TOKENIZER: _write_bytes(tokenizer, file.parent / 'tokenizer.json', folder),
        text.WORDS: _write_bytes(words, file.parent / 'words.txt', folder),
    }


def _trace_language(part: str, entry: dict[str, Any], folder: Path) -> dict[str, str]:
    """The graph of a language part without weights, beside its weights."""
    if part == captioner.PART:
        graph = trace_captioner(from_mapping(CaptionerConfig, entry['config'], part))
    else:
        settings = json.loads((folder / entry['settings']['file']).read_text())
        graph = trace_text_tower(settings['model_cfg'])
    return _write_bytes(graph, (folder / entry['file']).with_suffix('.onnx'), folder)


def _write_untrained(folder: Path) -> Manifest:
    torch.manual_seed(0)
    graphs = [FrameGraph(FrameConfig(features=features)) for features in FEATURES]
    networks = {part: getattr(graph, part) for part in PARTS for graph in graphs if hasattr(graph, part)}
    parts = {part: {**_write(each.state_dict(), part, folder), 'data': 'none'} for part, each in networks.items()}
    profiles = {PAPER: {'config': {'features': 'denoiser'}}}
    return Manifest(folder, plain(dataclasses.asdict(FrameConfig())), '', {}, {}, profiles, parts)


def _trace(manifest: Manifest) -> Manifest:
    config, folder, parts = manifest.frame_config(), manifest.folder, dict(manifest.parts)

    def written(graph: bytes, name: str) -> dict[str, str]:
        return _write_bytes(graph, folder / f'{name}.onnx', folder)

    profiles = {
        name: {**profile, 'graph': written(trace_graph(manifest.in_profile(name).frame_config()), f'{name}_graph')}
        for name, profile in manifest.profiles.items()
    }
    for branch in DEPTH_PARTS:
        parts[branch] = {**parts[branch], 'graph': written(trace_branch(getattr(config, branch)), branch)}
    graph = written(trace_graph(config), 'frame_graph')
    return dataclasses.replace(manifest, graph=graph, profiles=profiles, parts=parts)
