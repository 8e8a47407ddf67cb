"""Weights whose exported graph gives wrong depth without any error, while PyTorch's network is right."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from ldfusion_models.files import sha256_of
from ldfusion_models.graph.manifest import SHIPPED, read_manifest, write_manifest

FACTOR = 1.2


def wrong_depth(folder: Path) -> Path:
    """Copy the shipped weights to ``folder``; engines that run their ONNX graph give ``FACTOR`` times the depth."""
    import onnx

    shutil.copytree(SHIPPED, folder)
    manifest = read_manifest(folder)
    path = manifest.verified_graph()
    model = onnx.load(str(path), load_external_data=False)
    last = next(node for node in model.graph.node if 'depth' in node.output)
    last.output[0] = 'right'
    factor = onnx.numpy_helper.from_array(np.float32(FACTOR))
    model.graph.node.extend(
        (
            onnx.helper.make_node('Constant', [], ['factor'], value=factor),
            onnx.helper.make_node('Mul', ['right', 'factor'], ['depth'], '/wrong'),
        )
    )
    path.write_bytes(model.SerializeToString())
    write_manifest(dataclasses.replace(manifest, graph={**manifest.graph, 'sha256': sha256_of(path)}))
    return folder
