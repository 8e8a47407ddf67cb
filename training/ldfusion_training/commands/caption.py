"""``ldfusion caption``: what pairs of images show, in words."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import match_pairs, read_image
from ldfusion_models.shown import one_line
from ldfusion_training.commands.options import Positive

if TYPE_CHECKING:
    from ldfusion_models.language.guidance import PairCaptioner


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Caption:
    """Describe pairs of images.

    Prints the captions of the visible and of the thermal image of each pair, made from image and estimated depth.
    Folders are paired by file name. With --dataset: writes texts.json, from which modulation is trained, into a
    simulated data set.
    """

    visible: Path | None = None
    """image or folder"""
    thermal: Path | None = None
    """image or folder, 8 or 16 bits, aligned to visible"""
    fx: Positive | None = None
    """focal length of the visible images"""
    json: bool = False
    """print one JSON object per pair"""
    captioner: str = 'embedded'
    """or a published one by name or folder"""
    dataset: Path | None = None
    """simulated data set that gets texts.json"""
    labels: bool = False
    """with --dataset: captions from its labels, at once"""


DEFAULTS = Caption()


def run(options: Caption = DEFAULTS) -> int:
    """Describe every pair."""
    from ldfusion_models.language.guidance import PairCaptioner

    if options.dataset:
        if options.visible or options.thermal:
            raise InputError('--dataset has its own images; leave out --visible and --thermal')
        return _write_texts(options.dataset, None if options.labels else PairCaptioner.load(options.captioner))
    if not (options.visible and options.thermal):
        raise InputError('give --visible and --thermal, or --dataset')
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


def _write_texts(folder: Path, captioner: 'PairCaptioner | None') -> int:
    from tqdm import tqdm

    from ldfusion_training.data.simulated import open_simulation
    from ldfusion_training.language.pair_texts import write_texts

    frames = open_simulation(folder)
    with tqdm(total=len(frames), unit='pair', disable=None) as bar:
        path = write_texts(folder, frames, captioner, bar.update)
    print(f'texts of {len(frames)} pairs in {path}')
    return 0
