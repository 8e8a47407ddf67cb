"""``ldfusion models prepare`` and ``use``: published networks as parts of the nodes."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from ldfusion_models.choices import MINIMUM_SIZE
from ldfusion_models.engines.base import EngineFailedError
from ldfusion_models.engines.selection import build_ahead
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import data_of
from ldfusion_models.published.profiles import OF_NODES, PROFILES, profile_of, read_profile
from ldfusion_models.published.store import fitted_fusion, fusion_of, graph_of, local_model, task_of
from ldfusion_training.options.models.preparing import Prepare, Use
from ldfusion_training.report.tables import write_text

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedDepth

# Median relative difference of depth to transformers' own pipeline.
LARGEST_DIFFERENCE = 1e-3
# Simulated scenes on which the effect of prompts is shown.
SCENES_SHOWN = 6
KINDS_SHOWN = ('street', 'parking_lot', 'campus_path')


def run_prepare(options: Prepare) -> int:
    """Prepare for what the model is for."""
    folder = local_model(options.name)
    task = task_of(options.name)
    if task == 'captions':
        raise InputError(f'{options.name}: a captioner needs no preparation; captioner:={options.name} uses it')
    graph = _prepare_text(options.name, folder) if task == 'text' else _prepare_depth(options, folder)
    try:
        plan = build_ahead(graph, 'auto', options.size, options.compute_capability, None, print)
    except (EngineFailedError, InputError) as error:
        if options.compute_capability:
            raise InputError(f'{graph}: prepared, but TensorRT did not build it: {error}') from error
        print(f'all other engines take it as it is; TensorRT builds nothing here: {error}')
    else:
        print(
            f"{plan}: TensorRT's engine, where nodes of this machine find it; on a robot it goes into the same folder"
        )
    return 0


def run_use(options: Use) -> int:
    """Write the parameter file."""
    is_profile = options.name in PROFILES or options.name.endswith('.yaml')
    profile = read_profile(options.name) if is_profile else profile_of(options.name, options.depth_source)
    profile.check()
    changes = profile.changes()
    nodes = {node: {name: changes[name] for name in names if name in changes} for node, names in OF_NODES.items()}
    content = {f'/**/{node}': {'ros__parameters': values} for node, values in nodes.items() if values}
    write_text(options.output, yaml.safe_dump(content, sort_keys=False))
    print(f'{options.output}: {", ".join(content) or "nothing differs from the defaults"}')
    return 0


def _prepare_text(name: str, folder: Path) -> Path:
    """Fit, tell how well; returns the folder of weights."""
    from ldfusion_models.language.text import load_text_encoder
    from ldfusion_training.stages.text_fit import CACHE, fit_fusion

    fusion = fusion_of(folder)
    try:
        right = fit_fusion(load_text_encoder(name), fusion, folder / CACHE)
    except OSError as error:
        raise InputError(f'{fusion}: cannot be written ({error.strerror})') from error
    print(f'{fusion}: of the texts left out of the fit, {right:.0%} name just what they should')
    print(_prompt_effects(name, fusion))
    print(f'both nodes take it by their parameter text_encoder, or ros2 launch ... text_encoder:={name}')
    return fusion


def _prompt_effects(name: str, weights: Path) -> str:
    """What prompts do on simulated frames, with the package's own text encoder and with another."""
    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.evaluation.prompts import TextFusion, prompt_report, score_prompts, simulated_subjects
    from ldfusion_training.options.evaluate.prompts import CLASSES, PROMPTS
    from ldfusion_training.simulation.config import SimulationConfig
    from ldfusion_training.simulation.dataset import write_dataset

    with tempfile.TemporaryDirectory() as temporary:
        scenes = Path(temporary) / 'scenes'
        config = SimulationConfig(
            scenes=SCENES_SHOWN, frames=1, width=320, height=240, seed=7, kinds=KINDS_SHOWN, weathers=('clear',)
        )
        list(write_dataset(config, scenes))
        subjects = list(simulated_subjects(open_simulation(scenes), CLASSES))
    tables = [
        f'{title}, {len(subjects)} simulated frames:\n'
        f'{prompt_report(score_prompts(fusion, subjects, PROMPTS, CLASSES))}'
        for title, fusion in (("the package's own", TextFusion()), (name, TextFusion(weights, name)))
    ]
    return '\n\n'.join(tables)


def _prepare_depth(options: Prepare, folder: Path) -> Path:
    """Export, compare, keep; returns the graph."""
    from ldfusion_models.graph.published_depth_graph import export_with_depth, frame_graph_with
    from ldfusion_models.networks.published_depth import PublishedDepth

    if min(options.size) < MINIMUM_SIZE:
        raise InputError(f'--size {options.size[0]}x{options.size[1]}: at least {MINIMUM_SIZE} pixels each way')
    depth = PublishedDepth.load(options.name)
    path = graph_of(folder, options.depth_source)
    weights = fitted_fusion(options.text_encoder)
    begun = path.parent / '.begun' / path.name
    try:
        begun.parent.mkdir(exist_ok=True)
        graph = frame_graph_with(depth, options.name, options.size, options.depth_source, weights)
        export_with_depth(begun, *graph)
        difference = _difference(begun, depth, options.depth_source)
        if not difference < LARGEST_DIFFERENCE:
            raise InputError(f'{options.name}: as a graph its depth is off by {difference:.2%} (median); not kept')
        data_of(path).unlink(missing_ok=True)
        for file in sorted(begun.parent.iterdir(), reverse=True):
            file.replace(path.parent / file.name)
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror})') from error
    finally:
        shutil.rmtree(begun.parent, ignore_errors=True)
    print(f'{path}: depth as by transformers to {difference:.4%} (median)')
    print(f'fusion_node takes it by its parameter depth, or ros2 launch ... depth:={options.name}')
    return path


def _difference(path: Path, depth: 'PublishedDepth', source: str) -> float:
    """Median relative difference between the graph's depth of the package's reference pair and transformers' own."""
    from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
    from ldfusion_models.engines.proof import Reference

    engine = OnnxRuntimeEngine(path)
    pair = Reference.compute(engine, engine.info.size)
    images = {'fused': pair.expected.fused, 'visible': pair.visible, 'thermal': pair.thermal.repeat(3, axis=3)}
    expected = depth.metres_of(images[source][0], engine.info.canonical_focal or None)
    return float(np.median(np.abs(pair.expected.depth[0] / expected - 1)))
