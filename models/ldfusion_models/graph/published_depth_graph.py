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
from ldfusion_models.files import written_whole
from ldfusion_models.graph.export import OPSET, with_metadata
from ldfusion_models.graph.manifest import graph_info, load_frame_graph
from ldfusion_models.graph.static_graph import static_graph
from ldfusion_models.networks.published_depth import SMALLEST_METRES, PublishedDepth

# One ONNX file holds at most 2 GB, and a robot little more.
LARGEST_BYTES = 1_900_000_000
# Of prepared images, whose values are about 1; on average.
LARGEST_ERROR = 1e-3
Size = tuple[int, int]


class DepthInGraph(nn.Module):
    """A published network with its preparation, for images of one size."""

    def __init__(self, depth: PublishedDepth, size: Size) -> None:
        """Read off how ``depth`` prepares images of ``size`` (width, height).

        Raises:
            InputError: in a way that is not linear, or the network is too large for a graph.
        """
        super().__init__()
        weights = sum(tensor.numel() * 4 for tensor in depth.network.parameters())
        kind = depth.network.config.model_type
        if weights > LARGEST_BYTES or kind == 'depth_pro':
            raise InputError(f'{kind}: cannot be a part of the frame graph; ldfusion depth --model takes single images')
        self.network = depth.network
        width, height = size

        def prepared(planes: Tensor, **options: Any) -> Tensor:
            pixels: Tensor = depth.processor(images=list(planes), return_tensors='pt', **options)['pixel_values']
            return pixels

        def resized(planes: Tensor) -> Tensor:
            return prepared(planes, do_rescale=False, do_normalize=False).float()

        black, white = (prepared(torch.full((1, 3, height, width), level, dtype=torch.uint8)) for level in (0, 255))
        self.bias, self.scale = black[:, :, :1, :1], (white - black)[:, :, :1, :1] / 255.0
        self.rows, self.columns = _matrices(resized, height, width, 3)
        with torch.inference_mode():
            estimate = self.network(pixel_values=black).predicted_depth

        def finished(planes: Tensor) -> Tensor:
            return depth.finished(SimpleNamespace(predicted_depth=planes[:, 0]), (height, width))

        self.rows_back, self.columns_back = _matrices(finished, estimate.shape[1], estimate.shape[2], 1)
        # Most processors resize 8-bit images to 8 bits, along columns and then along rows.
        noise = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=torch.Generator())
        errors = []
        for self.rounds in (False, True):
            errors.append(float((self._prepared(noise.float()) - prepared(noise)).abs().mean()))
        self.rounds = errors[1] < errors[0]
        if min(errors) > LARGEST_ERROR:
            raise InputError(f'{kind}: its preparation of images cannot be a part of the frame graph')

    def forward(self, levels: Tensor) -> Tensor:
        """Metres (1, H, W) of ``levels`` (1, 3, H, W), whole numbers from 0 to 255."""
        estimate = self.network(pixel_values=self._prepared(levels)).predicted_depth
        depth: Tensor = self.rows_back @ estimate @ self.columns_back
        return depth.clamp(min=SMALLEST_METRES)

    def _prepared(self, levels: Tensor) -> Tensor:
        wide = self._whole(levels @ self.columns)
        return self._whole(self.rows @ wide) * self.scale + self.bias

    def _whole(self, levels: Tensor) -> Tensor:
        return levels.round().clamp(0.0, 255.0) if self.rounds else levels


def export_with_depth(output: Path, depth: PublishedDepth, name: str, size: Size, source: str = 'fused') -> None:
    """Write the frame graph with ``depth`` as one ONNX file for images of ``size`` (width, height).

    Args:
        output: the file.
        depth: the network.
        name: of the network, for people.
        size: width and height.
        source: the image that depth is estimated of, one of ``DEPTH_SOURCES``.

    Raises:
        InputError: the network can't be a part of the graph, or the file can't be written.
    """
    graph, manifest = load_frame_graph()
    graph.published, graph.depth_source = DepthInGraph(depth, size), source
    info = replace(graph_info(manifest), canonical_focal=0.0, size=size, depth=f'{name}, of the {source} image')
    visible = torch.zeros((1, size[1], size[0], 3), dtype=torch.uint8)
    text = torch.zeros((1, info.text_dim))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracer warns of every shape it reads; whoever prepares a model compares the result.
        warnings.simplefilter('ignore')
        traced = Path(folder) / 'traced.onnx'
        try:
            torch.onnx.export(
                graph,
                (visible, visible[..., :1].contiguous(), text),
                str(traced),
                input_names=['visible', 'thermal', 'text'],
                output_names=['fused', 'depth', 'uncertainty'],
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # operators that ONNX lacks, in whatever words
            first = str(error).strip().partition('\n')[0]
            raise InputError(f'{name}: cannot be written as a graph ({first})') from error
        content = with_metadata(static_graph(traced.read_bytes(), size), info)
    with written_whole(output) as temporary:
        temporary.write_bytes(content)


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
