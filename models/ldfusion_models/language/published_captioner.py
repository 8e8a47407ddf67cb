"""A published captioner (BLIP, Florence-2, SmolVLM and the like) through transformers, with a phrase for depth."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError, how_to_install
from ldfusion_models.language.captions import SIDE_PHRASES
from ldfusion_models.language.facts import BORDERS, Description
from ldfusion_models.published.store import local_model

LONGEST = 40
INSTRUCTION = 'Describe the image in one sentence.'
# Florence-2's word for it.
TASK = '<CAPTION>'


class PublishedCaptioner:
    """Describes an image with a network of transformers, and its depth in one sentence of its own.

    These networks were not trained on depth, so what is where in metres comes from the depth map: the nearest thing
    on each side.
    """

    def __init__(self, processor: Any, network: Any) -> None:
        """Take over a processor and a network in eval mode."""
        self._processor = processor
        self._network = network

    @classmethod
    def load(cls, setting: str) -> 'PublishedCaptioner':
        """Load a captioner.

        Args:
            setting: a name such as ``Salesforce/blip-image-captioning-base`` that ``ldfusion models fetch`` has
                brought, or a folder with such a network and its processor; nothing is downloaded.

        Raises:
            InputError: transformers is not installed, or there is no such captioner here.
        """
        try:
            import transformers
        except ImportError as error:
            raise InputError(f'captions need transformers ({error}): {how_to_install("language")}') from error
        library: Any = transformers
        folder = local_model(setting)
        try:
            processor = library.AutoProcessor.from_pretrained(folder, local_files_only=True)
            network = library.AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # of many kinds: no network, no such name, a damaged folder
            reason = ' '.join(str(error).split())[:200]
            raise InputError(f'captioner {setting!r} cannot be loaded ({reason}); give a name or a folder') from error
        if hasattr(processor.image_processor, 'do_image_splitting'):
            # An image in pieces takes SmolVLM a dozen times as long.
            processor.image_processor.do_image_splitting = False
        return cls(processor, network.eval())

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Description:
        """A caption; empty if the network writes none and no depth is known.

        Args:
            image: (H, W, 3) RGB uint8, or (H, W) grey.
            depth: (H, W) float32 metres, NaN where unknown.

        Raises:
            InputError: an image that is none, or depth of another size.
        """
        import torch

        pixels = as_rgb8(image)
        if depth.shape != pixels.shape[:2]:
            raise InputError(f'depth of shape {depth.shape} for an image of {pixels.shape[:2]}; they must be equal')
        inputs = self._processor(images=pixels, return_tensors='pt', **self._request())
        with torch.inference_mode():
            tokens = self._network.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)
        if 'input_ids' in inputs and not self._network.config.is_encoder_decoder:
            # Models that follow instructions (SmolVLM and the like) repeat theirs before the answer.
            tokens = tokens[:, inputs['input_ids'].shape[1] :]
        text = self._processor.batch_decode(tokens, skip_special_tokens=True)[0].strip().rstrip('.')
        sentences = [f'{text[:1].upper()}{text[1:]}.'] if text else []
        return Description(' '.join([*sentences, *depth_phrase(depth)]))

    def _request(self) -> dict[str, str]:
        if TASK in getattr(self._processor, 'task_prompts_without_inputs', {}):
            return {'text': TASK}
        if not getattr(self._processor, 'chat_template', None):
            return {}
        content = [{'type': 'image'}, {'type': 'text', 'text': INSTRUCTION}]
        message = {'role': 'user', 'content': content}
        return {'text': self._processor.apply_chat_template([message], add_generation_prompt=True)}


def depth_phrase(depth: npt.NDArray[np.float32]) -> list[str]:
    """Where the nearest things are, as at most one sentence, from depth (H, W) in metres, NaN where unknown.

    The ground before the camera is near, too: only the upper two thirds of the image count.
    """
    upper = cv2.resize(depth[: max(1, depth.shape[0] * 2 // 3)], (96, 48), interpolation=cv2.INTER_NEAREST_EXACT)
    edges = [0, *(round(border * 96) for border in BORDERS), 96]
    parts = []
    for side, left, right in zip(SIDE_PHRASES.values(), edges[:-1], edges[1:], strict=True):
        known = upper[:, left:right]
        known = known[np.isfinite(known)]
        if known.size:
            parts.append(f'{max(1, round(float(np.percentile(known, 10))))} m {side}')
    return [f'The nearest things are at {", ".join(parts)}.'] if parts else []
