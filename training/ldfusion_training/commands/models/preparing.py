"""``ldfusion models prepare`` and ``use``: a published depth network as a part of the frame graph."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import yaml
from cyclopts import Parameter

from ldfusion_models.camera.images import MINIMUM_SIZE
from ldfusion_models.errors import InputError
from ldfusion_models.graph.export import data_of
from ldfusion_models.published.store import graph_of, local_model, prepared_graph
from ldfusion_training.commands.options import Size
from ldfusion_training.report.tables import write_text

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedDepth

# Median relative difference of depth to transformers' own pipeline.
LARGEST_DIFFERENCE = 1e-3


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Write the frame graph with a published depth network in place of the package's own.

    The graph is for images of one size and lies in the model's folder, where parameter depth of fusion_node finds
    it. It is kept only if its depth is that of transformers' own pipeline.
    """

    name: str = field(kw_only=False)
    """OWNER/NAME of a fetched model, or a folder"""
    size: Size = (640, 480)
    """of the images that come to the networks"""
    depth_source: Literal['fused', 'visible', 'thermal'] = 'fused'
    """the image that depth is estimated of"""


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Use:
    """Write a parameter file for the nodes with which fusion_node uses a prepared depth network."""

    name: str = field(kw_only=False)
    """OWNER/NAME, or a folder"""
    output: Path
    """the .yaml file, for params_file:= of the launch file"""
    depth_source: Literal['fused', 'visible', 'thermal'] = 'fused'
    """the image that depth is estimated of"""


def run_prepare(options: Prepare) -> int:
    """Export, compare, keep."""
    from ldfusion_models.graph.published_depth_graph import export_with_depth, frame_graph_with
    from ldfusion_models.networks.published_depth import PublishedDepth

    if min(options.size) < MINIMUM_SIZE:
        raise InputError(f'--size {options.size[0]}x{options.size[1]}: at least {MINIMUM_SIZE} pixels each way')
    depth = PublishedDepth.load(options.name)
    path = graph_of(local_model(options.name), options.depth_source)
    begun = path.parent / '.begun' / path.name
    try:
        begun.parent.mkdir(exist_ok=True)
        export_with_depth(begun, *frame_graph_with(depth, options.name, options.size, options.depth_source))
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
    return 0


def run_use(options: Use) -> int:
    """Write the parameter file."""
    from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine

    size = OnnxRuntimeEngine(prepared_graph(options.name, options.depth_source)).info.size
    assert size is not None
    parameters = {'depth': options.name, 'depth_source': options.depth_source, 'inference_size': max(size)}
    write_text(options.output, yaml.safe_dump({'/**/fusion_node': {'ros__parameters': parameters}}, sort_keys=False))
    print(f'{options.output}: for cameras whose images have the shape of {size[0]}x{size[1]}')
    return 0


def _difference(path: Path, depth: 'PublishedDepth', source: str) -> float:
    """Median relative difference between the graph's depth of the package's reference pair and transformers' own."""
    from ldfusion_models.engines.onnxruntime_engine import OnnxRuntimeEngine
    from ldfusion_models.engines.proof import Reference

    engine = OnnxRuntimeEngine(path)
    pair = Reference.compute(engine, engine.info.size)
    images = {'fused': pair.expected.fused, 'visible': pair.visible, 'thermal': pair.thermal.repeat(3, axis=3)}
    expected = depth.metres_of(images[source][0], engine.info.canonical_focal or None)
    return float(np.median(np.abs(pair.expected.depth[0] / expected - 1)))
