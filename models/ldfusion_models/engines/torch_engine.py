"""The frame graph in PyTorch: on CUDA, or on the CPU for debugging."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ldfusion_models.engines.base import EngineFailedError, FrameOutput, chosen_precision
from ldfusion_models.engines.stages import OTHER_STAGE, STAGES, TRANSFERS, no_time
from ldfusion_models.graph.export import complete_graph
from ldfusion_models.graph.frame_graph import FrameGraph
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.graph.manifest import graph_info, load_frame_graph

WARM_UP_RUNS = 3
PRECISIONS_OF_DEVICE = {'cuda': ('mixed', 'fp32'), 'cpu': ('fp32',)}


class TorchEngine:
    """Runs the frame graph: as a CUDA graph where there is a GPU, else eagerly."""

    name = 'torch'
    library = f'PyTorch {torch.__version__}'
    reason = proof = ''

    def __init__(self, weights: Path | None = None, threads: int = 0, precision: str = 'auto') -> None:
        """Load a folder of weights, or the network beside a graph that ``ldfusion models prepare`` wrote.

        Precision is mixed on CUDA and fp32 on the CPU if it is ``auto``.

        Raises:
            InputError: weights missing, damaged, or of another configuration.
            EngineFailedError: the GPU has no memory left, or failed.
        """
        if threads:
            torch.set_num_threads(threads)
        graph, self.info = _load(weights)
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        known = PRECISIONS_OF_DEVICE[self.device]
        self.precision = chosen_precision(precision, f'{self.name} on {self.device}', known)
        if self.precision == 'mixed':
            make_mixed(graph)
        self._captured: CapturedGraph | None = None
        try:
            self._graph = graph.to(self.device).to(memory_format=torch.channels_last)
        except RuntimeError as error:
            raise EngineFailedError(_first_line(error)) from error

    @torch.inference_mode()
    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        inputs = tuple(torch.from_numpy(array) for array in (visible, thermal, text))
        if self.device == 'cpu':
            return FrameOutput(*(output.numpy() for output in self._graph(*inputs)))
        try:
            if self._captured is None or self._captured.size != visible.shape:
                # One at a time: a camera keeps its size, and a captured graph holds all memory of its frame.
                self._captured = None
                self._captured = CapturedGraph.of(self._graph, inputs)
            return FrameOutput(*self._captured.run(inputs))
        except RuntimeError as error:  # what CUDA raises, lack of memory included
            raise EngineFailedError(_first_line(error)) from error

    @torch.inference_mode()
    def stage_times(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> dict[str, float]:
        """Milliseconds of one frame by stage; on CUDA launched layer by layer, without the captured graph."""
        clock = _Clock(self.device)
        times = no_time()
        inputs = tuple(torch.from_numpy(array).to(self.device) for array in (visible, thermal, text))
        times[TRANSFERS] = clock.lap()
        hooks = []
        # The student is the extractor, too.
        parts = {getattr(self._graph, part, None): stage for part, stage in STAGES.items()}
        for module, stage in parts.items():
            if module is None:
                continue

            def begin(*_: object) -> None:
                times[OTHER_STAGE] += clock.lap()

            def end(*_: object, stage: str = stage) -> None:
                times[stage] += clock.lap()

            hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
        try:
            results = self._graph(*inputs)
        finally:
            for hook in hooks:
                hook.remove()
        times[OTHER_STAGE] += clock.lap()
        for result in results:
            result.cpu()
        times[TRANSFERS] += clock.lap()
        return times


class _Clock:
    """Times what was computed on a device from lap to lap."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Milliseconds since the last lap, all work done."""
        if self._device == 'cuda':
            torch.cuda.synchronize()
        before, self._last = self._last, time.perf_counter()
        return (self._last - before) * 1e3


def _load(weights: Path | None) -> tuple[FrameGraph, GraphInfo]:
    if weights is not None and weights.suffix == '.onnx':
        # Imported here, for it needs transformers.
        from ldfusion_models.graph.published_depth_graph import prepared_in_torch

        _, info = complete_graph(weights)
        return prepared_in_torch(weights, info), info
    graph, manifest = load_frame_graph(weights)
    return graph, graph_info(manifest)


def make_mixed(graph: FrameGraph) -> None:
    """Let features and fusion be computed with float16; depth keeps float32 (see ``graph/mixed_precision.py``)."""
    graph.fusion_type = torch.float16
    for part in (graph.extractor, graph.fusion):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                module.half()


@dataclass(frozen=True)
class CapturedGraph:
    """A network for inputs of one size as a CUDA graph: one launch, buffers on the device and pinned on the host."""

    graph: torch.cuda.CUDAGraph
    on_device: tuple[Tensor, ...]
    pinned: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    pinned_results: tuple[Tensor, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Shape of the visible image."""
        return tuple(self.on_device[0].shape)

    @classmethod
    def of(cls, network: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...]) -> 'CapturedGraph':
        """Capture ``network``, which gives a tuple, for inputs of these shapes, after runs that let cuDNN choose."""
        on_device = tuple(tensor.cuda() for tensor in inputs)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                network(*on_device)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = network(*on_device)
        pinned = tuple(torch.empty_like(tensor, pin_memory=True) for tensor in inputs)
        pinned_results = tuple(
            torch.empty(result.shape, dtype=result.dtype, device='cpu', pin_memory=True) for result in results
        )
        return cls(graph, on_device, pinned, tuple(results), pinned_results)

    def run(self, inputs: tuple[Tensor, ...]) -> Iterator[npt.NDArray[Any]]:
        """Copy in, launch, copy out, wait."""
        for source, pinned, target in zip(inputs, self.pinned, self.on_device, strict=True):
            pinned.copy_(source)
            target.copy_(pinned, non_blocking=True)
        self.graph.replay()
        for result, pinned in zip(self.results, self.pinned_results, strict=True):
            pinned.copy_(result, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return (pinned.numpy().copy() for pinned in self.pinned_results)


def _first_line(error: RuntimeError) -> str:
    return str(error).partition('\n')[0]
