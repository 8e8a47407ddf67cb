"""``ldfusion caption``: what pairs of images show, in words."""

import json
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.errors import naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.shown import one_line
from ldfusion_training.commands.options import Positive


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Caption:
    """Describe pairs of images.

    Prints the captions of the visible and of the thermal image of each pair, made from image and estimated depth.
    Folders are paired by file name.
    """

    visible: Path
    """image or folder"""
    thermal: Path
    """image or folder, 8 or 16 bits, aligned to visible"""
    fx: Positive | None = None
    """focal length of the visible images"""
    json: bool = False
    """print one JSON object per pair"""
    captioner: str = 'embedded'
    """or a published one by name or folder"""


def run(options: Caption) -> int:
    """Describe every pair."""
    from ldfusion_models.language.guidance import PairCaptioner

    pairs = match_pairs(options.visible, options.thermal)
    captioner = PairCaptioner.load(options.captioner)
    for visible_path, thermal_path in pairs:
        visible, thermal = read_image(visible_path), read_image(thermal_path)
        with naming(visible_path):
            captions = captioner(visible, thermal, options.fx)
        if options.json:
            told = {'name': visible_path.stem, 'visible': captions.visible.text, 'thermal': captions.thermal.text}
            print(json.dumps({**told, 'text': captions.text, 'scene': captions.as_json()}, ensure_ascii=False))
        else:
            print(one_line(f'{visible_path.stem}: {captions.text}' if len(pairs) > 1 else captions.text))
    return 0
