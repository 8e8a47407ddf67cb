"""Captioners that are told what to do: the classes of SmolVLM (Idefics3) and Florence-2, tiny and random."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_captioner import ANSWERS, torch, transformers, write_florence, write_smolvlm

from ldfusion_models.language.published_captioner import PublishedCaptioner


@pytest.mark.parametrize('write', [write_smolvlm, write_florence])
@pytest.mark.parametrize('shape', [(60, 80, 3), (60, 80)], ids=['visible', 'thermal'])
def test_the_answer_is_told_without_the_instruction(write, shape: tuple[int, ...], tmp_path: Path) -> None:
    write(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    told = PublishedCaptioner.load(str(tmp_path)).describe(image, np.full((60, 80), 7.0, np.float32)).text
    answer, _, phrase = told.partition('. ')
    assert set(answer.lower().split()) <= set(ANSWERS)
    assert answer, told
    assert phrase == 'The nearest things are at 7 m on the left, 7 m ahead, 7 m on the right.'


def test_smolvlm_sees_an_image_whole_and_not_in_pieces(tmp_path: Path) -> None:
    write_smolvlm(tmp_path)
    captioner, pieces = PublishedCaptioner.load(str(tmp_path)), []

    def count(module: torch.nn.Module, _: object, output: Any) -> None:
        if isinstance(module, transformers.models.idefics3.modeling_idefics3.Idefics3VisionTransformer):
            pieces.append(len(output.last_hidden_state))

    with torch.nn.modules.module.register_module_forward_hook(count):
        captioner.describe(np.zeros((60, 80, 3), np.uint8), np.full((60, 80), 7.0, np.float32))
    assert pieces == [1]
