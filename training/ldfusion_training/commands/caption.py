"""``ldfusion caption``: what pairs of images show, in words."""

import json

from ldfusion_models.errors import naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.language.guidance import PairCaptioner
from ldfusion_models.shown import one_line
from ldfusion_training.options.caption import Caption


def run_caption(options: Caption) -> int:
    """Describe every pair."""
    pairs = match_pairs(options.visible, options.thermal)
    captioner = PairCaptioner.load(options.captioner)
    for visible_path, thermal_path in pairs:
        visible, thermal = read_image(visible_path), read_image(thermal_path)
        with naming(visible_path):
            captions = captioner(visible, thermal, options.fx)
        if options.json:
            texts = {'name': visible_path.stem, 'visible': captions.visible.text, 'thermal': captions.thermal.text}
            print(json.dumps({**texts, 'text': captions.text, 'scene': captions.as_json()}, ensure_ascii=False))
        else:
            print(one_line(f'{visible_path.stem}: {captions.text}' if len(pairs) > 1 else captions.text))
    return 0
