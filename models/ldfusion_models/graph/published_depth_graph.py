"""The frame graph with a published depth network in place of the package's own, for images of one size.

The network's own preparation is a part of the graph: resizing and padding of images, and of depth on the way back, are
linear along rows and along columns, so each is a product with two matrices. They are read off transformers' own image
processor by showing it one bright column or row after the other, so that every kind of processor is followed exactly.
"""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of
from ldfusion_models.graph.export import data_of, with_metadata
from ldfusion_models.graph.frame_graph import FrameGraph
from ldfusion_models.graph.info import DEPTH_SOURCES, GraphInfo
from ldfusion_models.graph.manifest import graph_info, load_frame_graph
from ldfusion_models.graph.static_graph import fold
from ldfusion_models.graph.tracing import OPSET
from ldfusion_models.networks.published_depth import CANONICAL_FOCAL, INVERSE_RANGE, SMALLEST_METRES, PublishedDepth
from ldfusion_models.published.store import graph_of

# One ONNX file holds at most 2 GB.
LARGEST_BYTES = 1_900_000_000
# Of prepared images, whose values are about 1; on average.
LARGEST_ERROR = 1e-3
Size = tuple[int, int]


class DepthInGraph(nn.Module):
    """A published network with its preparation, for images of one size."""

    bias: Tensor
    scale: Tensor
    rows: Tensor
    columns: Tensor
    rows_back: Tensor
    columns_back: Tensor

    def __init__(self, depth: PublishedDepth, size: Size) -> None:
        """Read off how ``depth`` prepares images of ``size`` (width, height).

        Raises:
            InputError: in a way that is not linear.
        """
        super().__init__()
        self.network = depth.network
        width, height = size
        # Such a network gives 1 / depth of a camera whose focal length is its image's width.
        self.nearness = width / CANONICAL_FOCAL if depth.takes_focal else 0.0

        def prepared(planes: Tensor, **options: Any) -> Tensor:
            pixels: Tensor = depth.processor(images=list(planes), return_tensors='pt', **options)['pixel_values']
            return pixels

        def resized(planes: Tensor) -> Tensor:
            return prepared(planes, do_rescale=False, do_normalize=False).float()

        black, white = (prepared(torch.full((1, 3, height, width), level, dtype=torch.uint8)) for level in (0, 255))
        self.register_buffer('bias', black[:, :, :1, :1], persistent=False)
        self.register_buffer('scale', (white - black)[:, :, :1, :1] / 255.0, persistent=False)
        self._keep('', _matrices(resized, height, width, 3))
        with torch.inference_mode():
            estimate = self.network(pixel_values=black).predicted_depth

        def finished(planes: Tensor) -> Tensor:
            # What is resized as 1 / depth stays within what the processor clamps it to.
            shift = 1.0 if self.nearness else 0.0
            output = SimpleNamespace(predicted_depth=planes[:, 0] + shift, field_of_view=None)
            metres = depth.finished(output, (height, width))
            return 1.0 / metres - shift if self.nearness else metres

        self._keep('_back', _matrices(finished, estimate.shape[1], estimate.shape[2], 1))
        # Most processors resize 8-bit images to 8 bits, along columns and then along rows.
        noise = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=torch.Generator())
        errors = []
        for self.rounds in (False, True):
            errors.append(float((self._prepared(noise.float()) - prepared(noise)).abs().mean()))
        self.rounds = errors[1] < errors[0]
        if min(errors) > LARGEST_ERROR:
            kind = depth.network.config.model_type
            raise InputError(f'{kind}: its preparation of images cannot be a part of the frame graph')

    def forward(self, levels: Tensor) -> Tensor:
        """Metres (1, H, W) of ``levels`` (1, 3, H, W), whole numbers from 0 to 255."""
        estimate = self.network(pixel_values=self._prepared(levels)).predicted_depth
        depth: Tensor = self.rows_back @ estimate @ self.columns_back
        return 1.0 / (depth * self.nearness).clamp(*INVERSE_RANGE) if self.nearness else depth.clamp(SMALLEST_METRES)

    def _keep(self, suffix: str, matrices: tuple[Tensor, Tensor]) -> None:
        for name, matrix in zip(('rows', 'columns'), matrices, strict=True):
            self.register_buffer(f'{name}{suffix}', matrix, persistent=False)

    def _prepared(self, levels: Tensor) -> Tensor:
        wide = self._whole(levels @ self.columns)
        return self._whole(self.rows @ wide) * self.scale + self.bias

    def _whole(self, levels: Tensor) -> Tensor:
        return levels.round().clamp(0.0, 255.0) if self.rounds else levels


def frame_graph_with(
    depth: PublishedDepth, name: str, size: Size, source: str, weights: Path | None = None
) -> tuple[FrameGraph, GraphInfo]:
    """The frame graph with a published network for images of ``size`` (width, height).

    Args:
        depth: the network.
        name: of the network, for people.
        size: width and height.
        source: the image that depth is estimated of, one of ``DEPTH_SOURCES``.
        weights: folder of those of the fusion; None for those that came with the package.

    Raises:
        InputError: the network can't be a part of the graph, or weights are missing or damaged.
    """
    graph, manifest = load_frame_graph(weights)
    graph.published, graph.depth_source = DepthInGraph(depth, size), source
    focal = CANONICAL_FOCAL if depth.takes_focal else 0.0
    info = replace(graph_info(manifest), canonical_focal=focal, size=size, depth=f'{name}, of the {source} image')
    return graph, info


def prepared_in_torch(path: Path, info: GraphInfo) -> FrameGraph:
    """The graph that ``export_with_depth`` wrote to ``path`` with facts ``info``, from the network beside it.

    Raises:
        InputError: it was prepared with other weights of the fusion, or the network is not beside it.
    """
    source = next((each for each in DEPTH_SOURCES if graph_of(path.parent, each) == path), None)
    if source is None or info.size is None:
        raise InputError(f'{path}: PyTorch takes a folder of weights, or what ldfusion models prepare wrote')
    graph, found = frame_graph_with(PublishedDepth.load(str(path.parent)), '', info.size, source)
    if found.weights_id != info.weights_id:
        raise InputError(f'{path}: prepared with weights {info.weights_id}, here are {found.weights_id}; prepare anew')
    return graph


def export_with_depth(output: Path, graph: FrameGraph, info: GraphInfo) -> None:
    """Write what ``frame_graph_with`` made as an ONNX file, weights above 2 GB beside it (``data_of``).

    Raises:
        InputError: it has operators that ONNX lacks, or the file can't be written.
    """
    assert info.size is not None
    width, height = info.size
    visible = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    data = data_of(output)
    is_large = sum(tensor.numel() * 4 for tensor in graph.parameters()) > LARGEST_BYTES
    try:
        with tempfile.TemporaryDirectory(dir=output.parent) as folder, warnings.catch_warnings():
            # The tracer warns of every shape it reads; whoever prepares a model compares the result.
            warnings.simplefilter('ignore')
            traced = Path(folder) / 'traced.onnx'
            torch.onnx.export(
                graph,
                (visible, visible[..., :1].contiguous(), torch.zeros((1, info.text_dim))),
                str(traced),
                input_names=['visible', 'thermal', 'text'],
                output_names=['fused', 'depth', 'uncertainty'],
                opset_version=OPSET,
                dynamo=False,
            )
            fold(traced, output, info.size, data.name if is_large else '')
    except OSError as error:
        raise InputError(f'{output}: cannot be written ({error.strerror})') from error
    except InputError:
        raise
    except Exception as error:  # operators that ONNX lacks, in whatever words
        first = str(error).strip().partition('\n')[0]
        raise InputError(f'{info.depth}: cannot be written as a graph ({first})') from error
    output.write_bytes(with_metadata(output.read_bytes(), info, sha256_of(data) if is_large else ''))


def _matrices(resize: Callable[[Tensor], Tensor], height: int, width: int, channels: int) -> tuple[Tensor, Tensor]:
    """``rows`` and ``columns`` with ``resize(planes) = rows @ planes @ columns`` for planes (1, channels, H, W)."""

    def responses(length: int, is_row: bool) -> Tensor:
        lines = []
        for start in range(0, length, channels):
            planes = torch.zeros(1, channels, height, width)
            for channel in range(min(channels, length - start)):
                line = planes[0, channel]
                (line if is_row else line.T)[start + channel] = 1.0
            lines.append(resize(planes)[0, :, :, 0] if is_row else resize(planes)[0, :, 0])
        return torch.cat(lines)[:length].contiguous()

    return responses(height, True).T.contiguous(), responses(width, False)
