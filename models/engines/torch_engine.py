"""The frame graph in PyTorch: on CUDA, or on the CPU for debugging."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ldfusion_models.engines.base import FrameOutput
from ldfusion_models.manifest import graph_info, load_frame_graph


class TorchEngine:
    """Runs the frame graph eagerly in float32."""

    name = 'torch'

    def __init__(self, weights: Path | None = None, threads: int = 0) -> None:
        """Load a folder of weights.

        Raises:
            InputError: weights missing, damaged, or of another configuration.
        """
        if threads:
            torch.set_num_threads(threads)
        graph, manifest = load_frame_graph(weights)
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.info = graph_info(manifest)
        self._graph = graph.to(self.device)

    @torch.inference_mode()
    def run(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> FrameOutput:
        """Run one frame; see :class:`ldfusion_models.engines.Engine`."""
        inputs = (torch.from_numpy(array).to(self.device) for array in (visible, thermal, text))
        fused, depth = self._graph(*inputs)
        return FrameOutput(fused.cpu().numpy(), depth.cpu().numpy())
