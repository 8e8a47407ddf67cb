"""Published metric depth networks through transformers: ZoeDepth, Depth Anything V2 (metric) and others.

They are slower than the networks of ``depth.py`` by orders of magnitude: for offline work, and to teach and to judge in
training. Each brings its own way to scale and normalise images, and has learned the lenses of its own training images:
a focal length tells it nothing.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ldfusion_models.camera.images import AnyImage, as_grey8, as_rgb8
from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.networks.depth import DepthOutput
from ldfusion_models.published.catalogue import METRIC_SIBLINGS
from ldfusion_models.published.store import local_model

# No network says how certain it is: all pixels count alike.
VARIANCE = 0.01
SMALLEST_METRES = 1e-3
# Architectures whose published weights give depth without a unit, or that want more than an image.
WITHOUT_METRES = frozenset({'dpt', 'prompt_depth_anything'})


class PublishedDepth(nn.Module):
    """A published network behind the interface of ``DepthNetwork``; gradients reach the image."""

    # Images of any size: the network's own preparation scales them.
    stride = 1

    def __init__(self, network: Any, processor: Any) -> None:
        """Take over a network of ``AutoModelForDepthEstimation`` and the image processor that belongs to it."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.processor = processor
        self._removes_padding = bool(getattr(processor, 'do_pad', False)) and network.config.model_type == 'zoedepth'

    @classmethod
    def load(cls, model: str) -> 'PublishedDepth':
        """Load a model from a folder, or one that was fetched by its name OWNER/NAME; nothing is downloaded.

        Raises:
            InputError: no such folder, a model that is not here, not a depth network, not a metric one, or weights
                missing or damaged.
        """
        if model in METRIC_SIBLINGS:
            raise InputError(f'{model}: gives depth without a unit; its metric sibling is {METRIC_SIBLINGS[model]}')
        folder = local_model(model)
        try:
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
            from transformers.utils import logging
        except ImportError as error:
            raise InputError(
                f'published models need the Python packages transformers and torchvision; {how_to_install("language")}'
            ) from error
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder, local_files_only=True
            )
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
    def metres_of(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Depth (H, W) in metres of ``image`` (H, W, 3), prepared with 8 bits as in the model's own pipeline."""
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        depth: npt.NDArray[np.float32] = self._metres(planes).clamp(min=SMALLEST_METRES)[0, 0].numpy()
        return depth

    def _metres(self, colours: Tensor, **options: Any) -> Tensor:
        """Depth (B, 1, H, W) of ``colours`` (B, 3, H, W)."""
        inputs = self.processor(images=list(colours), return_tensors='pt', **options)
        height, width = colours.shape[2:]
        return self.finished(self.network(**inputs), (height, width))

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

        ``focal`` changes nothing: published networks estimate for lenses like those of their training images.

        Raises:
            InputError: an image that the network can't take.
        """
        return self._network.metres_of(as_rgb8(as_grey8(image, self._gain) if self._is_thermal else image))


def _check_metric(config: Any, model: str) -> None:
    relative = getattr(config, 'depth_estimation_type', 'metric') != 'metric'
    if relative or config.model_type in WITHOUT_METRES:
        raise InputError(
            f'{model}: {config.model_type} gives depth without a unit; take a metric model, '
            'such as ZoeDepth or Depth Anything V2 metric'
        )
