"""Published metric depth networks through transformers: ZoeDepth, Depth Anything V2 (metric) and others.

They are slower than the networks of ``depth.py`` by orders of magnitude: for offline work, and to teach and to judge in
training. Each brings its own way to scale and normalise images. Most have learned the lenses of their own training
images: a focal length tells them nothing. DepthPro takes one, and guesses it where none is given.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.networks.depth import DepthOutput
from ldfusion_models.published.store import local_model

# No network says how certain it is: all pixels count alike.
VARIANCE = 0.01
SMALLEST_METRES = 1e-3
# Pixels; depth in a graph is for this focal length where the network takes one.
CANONICAL_FOCAL = 500.0
# What DepthPro's own processor clamps 1 / depth to.
INVERSE_RANGE = (1e-4, 1e4)
# Architectures whose published weights give depth without a unit or heights of trees, or want more than an image.
WITHOUT_METRES = frozenset({'chmv2', 'dpt', 'prompt_depth_anything', 'tipsv2_dpt'})


class PublishedDepth(nn.Module):
    """A published network behind the interface of ``DepthNetwork``; gradients reach the image."""

    def __init__(self, network: Any, processor: Any) -> None:
        """Take over a network of ``AutoModelForDepthEstimation`` and the image processor that belongs to it."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.processor = processor
        self.takes_focal = network.config.model_type == 'depth_pro'
        self._removes_padding = bool(getattr(processor, 'do_pad', False)) and network.config.model_type == 'zoedepth'

    @classmethod
    def load(cls, model: str) -> 'PublishedDepth':
        """Load a model from a folder, or one that was fetched by its name OWNER/NAME; nothing is downloaded.

        Raises:
            InputError: no such folder, a model that is not here, not a depth network, not a metric one, or weights
                missing or damaged.
        """
        folder = local_model(model)
        try:
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
            from transformers.utils import logging
        except ImportError as error:
            raise InputError(
                f'published models need the Python packages transformers and torchvision; {how_to_install("language")}'
            ) from error
        logging.disable_progress_bar()
        try:
            processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            network, loading = AutoModelForDepthEstimation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except Exception as error:  # transformers, its download and the file formats raise many kinds
            first = str(error).strip().partition('\n')[0]
            raise InputError(f'{model}: cannot be loaded as a depth network ({first})') from error
        _check_metric(network.config, model)
        absent = sorted({*loading['missing_keys'], *(key for key, *_ in loading['mismatched_keys'])})
        if absent:
            raise InputError(f'{model}: weights lack {absent[0]} ({len(absent)} missing or of another size)')
        return cls(network, processor)

    def forward(self, image: Tensor) -> DepthOutput:
        """Estimate depth of ``image`` (B, 1 or 3, H, W) in [0, 1]; log metres and a constant variance, (B, 1, H, W)."""
        metres = self._metres(image.expand(-1, 3, -1, -1), do_rescale=False)
        log_depth = metres.clamp(min=SMALLEST_METRES).log()
        return DepthOutput(log_depth, torch.full_like(log_depth, VARIANCE))

    @torch.inference_mode()
    def metres_of(self, image: npt.NDArray[np.uint8], focal: float | None = None) -> npt.NDArray[np.float32]:
        """Depth (H, W) in metres of ``image`` (H, W, 3), prepared with 8 bits as in the model's own pipeline.

        ``focal`` is the focal length in pixels, for networks that take one; None for their own guess.
        """
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        depth: npt.NDArray[np.float32] = self._metres(planes, focal).clamp(min=SMALLEST_METRES)[0, 0].numpy()
        return depth

    def _metres(self, colours: Tensor, focal: float | None = None, **options: Any) -> Tensor:
        """Depth (B, 1, H, W) of ``colours`` (B, 3, H, W)."""
        inputs = self.processor(images=list(colours), return_tensors='pt', **options)
        height, width = colours.shape[2:]
        output = self.network(**inputs)
        if self.takes_focal and focal:
            output.field_of_view = torch.full((len(colours),), math.degrees(2.0 * math.atan(width / (2.0 * focal))))
        return self.finished(output, (height, width))

    def finished(self, output: Any, size: tuple[int, int]) -> Tensor:
        """What the network gave, as depth (B, 1, H, W) of images of ``size`` (height, width)."""
        sizes = [size] * output.predicted_depth.shape[0]
        more: dict[str, Any] = {'source_sizes': sizes} if self._removes_padding else {}
        results = self.processor.post_process_depth_estimation(output, target_sizes=sizes, **more)
        return torch.stack([result['predicted_depth'] for result in results])[:, None]


class PublishedEstimator:
    """Metric depth of single images by a published network; called like ``pipeline.DepthEstimator``."""

    def __init__(self, network: PublishedDepth, branch: str) -> None:
        """Take over a network; ``branch`` says what the images are: ``visible`` or ``thermal``."""
        if branch not in ('visible', 'thermal'):
            raise InputError(f'branch {branch!r} is unknown; choose visible or thermal')
        self._network = network
        self._is_thermal = branch == 'thermal'
        self._gain = GainControl(GainConfig(smoothing=0.0))

    def __call__(self, image: AnyImage, focal: float | None = None) -> npt.NDArray[np.float32]:
        """Depth (H, W) in metres along the optical axis of (H, W, 3) RGB or (H, W) grey, uint8 or uint16.

        ``focal`` in pixels matters to DepthPro only: the others estimate for the lenses of their training images.

        Raises:
            InputError: an image that the network can't take.
        """
        return self._network.metres_of(as_rgb8(as_grey8(image, self._gain) if self._is_thermal else image), focal)


def _check_metric(config: Any, model: str) -> None:
    relative = getattr(config, 'depth_estimation_type', 'metric') != 'metric'
    if relative or config.model_type in WITHOUT_METRES:
        raise InputError(
            f'{model}: {config.model_type} gives depth without a unit; take a metric model, '
            'such as ZoeDepth or Depth Anything V2 metric'
        )
