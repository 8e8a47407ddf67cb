"""The frame graph with its weights as one ONNX file, which says what it is."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from ldfusion_models import __version__
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of, written_whole
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.graph.manifest import graph_info, read_initializers, read_manifest
from ldfusion_models.graph.static_graph import static_graph

METADATA_KEY = 'ldfusion'
# Rises with every change of inputs, outputs or metadata.
FORMAT = 5
NO_DIGEST = '0' * 64


def export_onnx(output: Path, weights: Path | None = None, size: tuple[int, int] | None = None) -> None:
    """Write graph and weights as one ONNX file, with facts about it in the metadata.

    Args:
        output: the file.
        weights: as for ``complete_graph``.
        size: width and height of the images; None for a graph that takes images of any size.

    Raises:
        InputError: as for ``complete_graph``, the graph is made for another size, or the file can't be written.
    """
    content, info = complete_graph(weights)
    if info.size not in (None, size):
        raise InputError(f'{weights}: made for one size; export from a folder of weights')
    if size is not None:
        content = static_graph(content, size)
    content = with_metadata(content, replace(info, size=size))
    with written_whole(output) as temporary:
        temporary.write_bytes(content)


def complete_graph(weights: Path | None = None) -> tuple[bytes, GraphInfo]:
    """Graph and weights as one ONNX model in memory, and what a caller must know of it.

    Args:
        weights: folder of weights, or a file that ``export_onnx`` wrote; None for those that came with the package.

    Raises:
        InputError: the package onnx is not installed, or the weights are missing, damaged or of another version.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise InputError('graph and weights are joined by the Python package onnx; pip install onnx') from error
    if weights is not None and weights.suffix == '.onnx':
        return _read_export(weights)
    manifest = read_manifest(weights)
    model = onnx.load(str(manifest.verified_graph()), load_external_data=False)
    values = read_initializers(manifest)
    for initializer in model.graph.initializer:
        initializer.CopyFrom(numpy_helper.from_array(values[initializer.name], initializer.name))
    return model.SerializeToString(), graph_info(manifest)


def info_of_export(content: bytes, metadata: Mapping[str, str], path: Path) -> GraphInfo:
    """Facts about an exported graph.

    Args:
        content: of the file.
        metadata: of the model in it.
        path: of the file.

    Raises:
        InputError: the metadata are not those of a frame graph of this version, or the content is not what was written.
    """
    try:
        facts = json.loads(metadata[METADATA_KEY])
        found, version, digest = (facts.pop(name) for name in ('format', 'version', 'sha256'))
        # Files of other forms don't have it.
        data = facts.pop('data', '')
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: not a frame graph that ldfusion export wrote; export it again') from error
    if found != FORMAT:
        raise InputError(f'{path}: written by version {version}, in another form; export it again')
    if _digest(content.replace(digest.encode(), NO_DIGEST.encode())) != digest:
        raise InputError(f'{path}: sha256 is not that of the graph that was written; copy or export it again')
    file = data_of(path)
    if data and not (file.is_file() and sha256_of(file) == data):
        raise InputError(f'{file}: missing, or not what was written with {path.name}; copy or export both again')
    return GraphInfo(**facts | {'size': facts['size'] and tuple(facts['size'])})


def data_of(path: Path) -> Path:
    """Where the weights of an exported graph lie that are too large for its file."""
    return path.with_name(f'{path.name}.data')


def with_metadata(content: bytes, info: GraphInfo, data: str = '') -> bytes:
    """The model with its facts, among them the sha256 of all of it with zeros in the place of that sum.

    ``data`` is the sha256 of the file of weights beside it, if there is one.
    """
    import onnx

    model = onnx.load_from_string(content)
    facts = {'format': FORMAT, 'version': __version__, 'sha256': NO_DIGEST, 'data': data, **asdict(info)}
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(facts)})
    content = model.SerializeToString()
    return content.replace(NO_DIGEST.encode(), _digest(content).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_export(path: Path) -> tuple[bytes, GraphInfo]:
    import onnx

    if not path.is_file():
        raise InputError(f'{path}: no such file')
    content = path.read_bytes()
    try:
        metadata = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    except Exception as error:  # protobuf's DecodeError, whose module depends on its version
        raise InputError(f'{path}: not a readable ONNX file; export it again ({error})') from error
    return content, info_of_export(content, metadata, path)
