"""Small real parts of language for tests: an untrained CLIP in open_clip's format, and weights that expect it."""

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from heavy import WhenUsed

from ldfusion_models.graph.manifest import SHIPPED
from ldfusion_models.language.facts import Description, Facts, Mention

torch = WhenUsed('torch')
open_clip = WhenUsed('open_clip')

MODEL = {
    'embed_dim': 64,
    'vision_cfg': {'image_size': 32, 'layers': 1, 'width': 32, 'head_width': 16, 'patch_size': 16},
    'text_cfg': {'context_length': 77, 'vocab_size': 49408, 'width': 32, 'heads': 2, 'layers': 1},
}


# As MobileCLIP's towers are.
MOBILE = {**MODEL, 'text_cfg': {**MODEL['text_cfg'], 'no_causal_mask': True}}


def write_encoder(folder: Path, is_mobile: bool = False) -> Path:
    """An untrained CLIP with embeddings of length 64; returns ``folder``."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**MOBILE) if is_mobile else open_clip.CLIP(**MODEL)
    settings = {**MOBILE, 'custom_text': True} if is_mobile else MODEL
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / 'open_clip_model.safetensors')
    (folder / 'open_clip_config.json').write_text(json.dumps({'model_cfg': settings, 'preprocess_cfg': {}}))
    return folder


def write_weights(folder: Path, encoder: str) -> Path:
    """The shipped weights, as if modulation had been trained with ``encoder``, and with an effect one can see."""
    from safetensors.torch import load_file, save_file

    from ldfusion_models.files import sha256_of
    from ldfusion_training.stages.release import record_reference

    shutil.copytree(SHIPPED, folder)
    weights = load_file(folder / 'fusion.safetensors')
    generator = torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if name.startswith('modulation.') and name.endswith('parameters_of_text.weight'):
            # Of this sign the sum of all mu is above 0 for the tiny encoder's texts: below, no place would be named.
            weights[name] = -torch.randn(tensor.shape, generator=generator).to(tensor)
    save_file(weights, folder / 'fusion.safetensors')
    manifest = yaml.safe_load((folder / 'manifest.yaml').read_text())
    manifest['text_encoder'] = encoder
    manifest['parts']['fusion']['sha256'] = sha256_of(folder / 'fusion.safetensors')
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(manifest))
    record_reference(folder)
    return folder


class BrightnessCaptioner:
    """Says how bright an image is, so that a test knows which image was described; nothing of a black one.

    Its facts are of one person, a tenth of the brightness away.
    """

    def describe(self, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> Description:
        assert depth.shape == image.shape[:2]
        level = round(float(image.mean()))
        if level == 13:
            raise RuntimeError('an unlucky image')
        if not level:
            return Description()
        person = Mention('person', 'left', level / 10, score=0.9, box=(0.1, 0.2, 0.3, 0.4))
        return Description(f'grey of {level}.', Facts('street', 'night', mentions=(person,)))
