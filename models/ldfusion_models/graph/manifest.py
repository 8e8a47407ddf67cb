"""Trained weights: safetensors files beside a manifest that fixes their configuration and their bytes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml

import ldfusion_models
from ldfusion_models.errors import InputError
from ldfusion_models.files import SAFE_LOADER, data_folder, sha256_of, written_whole
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.mappings import from_mapping

if TYPE_CHECKING:
    from ldfusion_models.graph.frame_graph import FrameConfig, FrameGraph

# In the order of the file.
ENTRIES = ('config', 'text_encoder', 'graph', 'reference', 'profiles', 'parts')
SHIPPED = data_folder(ldfusion_models.__file__, 'weights')
DEPTH_PARTS = ('visible_depth', 'thermal_depth')
PARTS = ('denoiser', 'student', 'fusion', *DEPTH_PARTS)
# The profile in which the fusion's features are the denoiser's own, as in the paper.
PAPER = 'paper'
# Beside the frame graph, and not needed for it.
LANGUAGE_PARTS = ('captioner', 'text')


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.yaml`` says.

    Attributes:
        folder: where the files lie.
        config: settings of the frame graph, part by part.
        text_encoder: name of the text encoder that the modulation was trained on, empty if none.
        graph: file and sha256 of the frame graph without weights (ONNX).
        reference: file and sha256 of the pair on which engines prove themselves (``engines/proof.py``); none for a
            profile.
        profiles: by name, other graphs of the same parts: what is different in ``config``, and a ``graph``.
        parts: per part: file, sha256, data, recipe, metrics, licence; config of parts outside of the frame graph; graph
            of parts that also run alone.
    """

    folder: Path
    config: dict[str, Any]
    text_encoder: str
    graph: dict[str, Any]
    reference: dict[str, Any]
    profiles: dict[str, dict[str, Any]]
    parts: dict[str, dict[str, Any]]

    @property
    def frame_parts(self) -> tuple[str, ...]:
        """The parts that the frame graph is made of."""
        return (str(self.config['features']), 'fusion', *DEPTH_PARTS)

    def in_profile(self, name: str) -> 'Manifest':
        """What the manifest would say if this profile was all there is."""
        profile = self.profiles[name]
        config = {**self.config, **profile['config']}
        return replace(self, config=config, graph=profile.get('graph', {}), reference={}, profiles={})

    @property
    def weights_id(self) -> str:
        """Twelve digits that change with any weight or setting."""
        sums = ''.join(self.parts[part]['sha256'] for part in self.frame_parts)
        return hashlib.sha256((sums + repr(sorted(self.config.items()))).encode()).hexdigest()[:12]

    def frame_config(self) -> 'FrameConfig':
        """The settings as dataclasses; unknown names are errors."""
        from ldfusion_models.graph.frame_graph import FrameConfig

        return from_mapping(FrameConfig, self.config, str(self.folder / 'manifest.yaml'))

    def verify(self, part: str, beside: str = '') -> Path:
        """The file of one part, or one beside it that its entry names, its sha256 checked.

        Raises:
            InputError: the file is not listed, missing or not the one that the manifest names.
        """
        entry = self.parts.get(part, {})
        entry = entry.get(beside, {}) if beside else entry
        if not entry:
            raise InputError(f'{self.folder / "manifest.yaml"}: lists no {beside or "weights"} for {part!r}')
        return self._verify(entry)

    def verified_graph(self, part: str | None = None) -> Path:
        """The file of the frame graph without weights, or of a part alone; raises InputError as ``verify``."""
        entry = self.parts[part].get('graph') if part else self.graph
        if not entry:
            raise InputError(f'{self.folder / "manifest.yaml"}: lists no graph of {part}; release the weights again')
        return self._verify(entry)

    def verified_reference(self) -> Path:
        """The file of the reference pair; raises InputError as ``verify``."""
        if not self.reference:
            raise InputError(f'{self.folder / "manifest.yaml"}: lists no reference pair; release the weights again')
        return self._verify(self.reference)

    def _verify(self, entry: dict[str, Any]) -> Path:
        path: Path = self.folder / entry['file']
        if not path.is_file():
            raise InputError(f'{path}: weights are missing; install the package again or check the folder')
        if sha256_of(path) != entry['sha256']:
            raise InputError(
                f'{path}: sha256 is not the one in manifest.yaml; the file is damaged or of another version'
            )
        return path


def read_manifest(folder: Path | None = None) -> Manifest:
    """Read ``manifest.yaml`` of ``folder``, by default of the weights that came with the package.

    A profile is named as if it were a folder in it: ``FOLDER/paper``; ``paper`` is that of the package.

    Raises:
        InputError: no such file or profile, or it is not a manifest.
    """
    folder = folder or SHIPPED
    path = folder / 'manifest.yaml'
    if not path.is_file():
        above = SHIPPED if folder.parent == Path() else folder.parent
        if (above / 'manifest.yaml').is_file() and folder.name in (manifest := read_manifest(above)).profiles:
            return manifest.in_profile(folder.name)
        raise InputError(f'{path}: no such file; a folder of weights holds manifest.yaml')
    try:
        content = yaml.load(path.read_text(), SAFE_LOADER)
        return Manifest(folder, *(content[name] for name in ENTRIES))
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise InputError(f'{path}: not a manifest of weights ({error})') from error


def write_manifest(manifest: Manifest) -> None:
    """Write ``manifest.yaml`` into the manifest's folder."""
    content = {name: getattr(manifest, name) for name in ENTRIES}
    with written_whole(manifest.folder / 'manifest.yaml') as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, width=110))


def graph_info(manifest: Manifest) -> GraphInfo:
    """What a caller must know of the graph that these weights make; needs no PyTorch."""
    config = manifest.config
    return GraphInfo(
        int(config['fusion']['text_dim']),
        manifest.text_encoder,
        float(config['visible_depth']['canonical_focal']),
        manifest.weights_id,
    )


def read_initializers(manifest: Manifest, parts: Iterable[str] = ()) -> dict[str, npt.NDArray[Any]]:
    """The weights of ``parts``, by default of the frame graph, by their names in it, float32; needs no PyTorch.

    Raises:
        InputError: weights missing or damaged.
    """
    from safetensors.numpy import load_file

    arrays = {
        f'{part}.{name}': a
        for part in parts or manifest.frame_parts
        for name, a in load_file(manifest.verify(part)).items()
    }
    return {name: array.astype(np.float32) for name, array in arrays.items() if is_in_graph(name)}


def is_in_graph(name: str) -> bool:
    """Whether a weight takes part in a graph, by this name: what only training needs doesn't."""
    only_for_training = ('denoiser.head.', 'extractor.', 'text.visual.', 'text.logit_scale')
    return not (name.startswith(only_for_training) or name.endswith('.num_batches_tracked'))


def load_frame_graph(folder: Path | None = None) -> 'tuple[FrameGraph, Manifest]':
    """The frame graph with its weights, in eval mode and float32 on the CPU.

    Raises:
        InputError: weights missing, damaged, or of another configuration.
    """
    from ldfusion_models.graph.frame_graph import FrameGraph

    manifest = read_manifest(folder)
    graph = FrameGraph(manifest.frame_config())
    for part in manifest.frame_parts:
        load_part(getattr(graph, part), manifest, part)
    return graph.eval(), manifest


def load_part(network: Any, manifest: Manifest, part: str) -> None:
    """Load one part's weights into ``network``.

    Raises:
        InputError: weights missing, damaged, or of another configuration.
    """
    from safetensors.torch import load_file

    path = manifest.verify(part)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    except RuntimeError as error:
        raise InputError(f'{path}: weights do not fit the configuration in manifest.yaml ({error})') from error
