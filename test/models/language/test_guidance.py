"""Captions of pairs and prompts, without a robot."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')

from tiny_language import BrightnessCaptioner, write_encoder

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.language.facts import Description
from ldfusion_models.language.guidance import (
    LONGEST_SIDE,
    Branch,
    PairCaptioner,
    checked_prompt,
    embedding_for,
)
from ldfusion_models.language.text import load_text_encoder
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.cli import main


@pytest.mark.parametrize(
    ('prompt', 'text'),
    [
        ('people', 'people'),
        ('  people \n behind\tthe smoke ', 'people behind the smoke'),
        ('ｐｅｏｐｌｅ', 'people'),
        ('the “exit”, please!', 'the “exit”, please!'),
        ('', ''),
        (' \n ', ''),
    ],
)
def test_prompts_are_brought_into_one_form(prompt: str, text: str) -> None:
    assert checked_prompt(prompt) == text


@pytest.mark.parametrize(
    ('prompt', 'words'),
    [
        ('\x1b[2Jpeople', r'control character U\+001B'),
        ('people\u202eelpoep', r'control character U\+202E'),
        ('people ' * 60, 'at most 300'),
        ('люди', 'English'),
        ('人', 'English'),
        ('1234 !?', 'no word'),
    ],
)
def test_prompts_that_cannot_be_are_refused_in_words(prompt: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        checked_prompt(prompt)


def test_embeddings_are_only_for_weights_that_know_the_encoder(tmp_path: Path) -> None:
    folder = str(write_encoder(tmp_path / 'clip'))
    encoder = load_text_encoder(folder)
    good = GraphInfo(64, encoder.name, 500.0, 'id')
    assert np.array_equal(embedding_for(' people ', good, folder), encoder.encode(['people'])[0])
    for prompt, graph, words in (
        ('', good, 'prompt is empty'),
        ('people', GraphInfo(64, '', 500.0, 'id'), 'without text'),
        ('people', GraphInfo(64, 'another', 500.0, 'id'), "need 'another'"),
    ):
        with pytest.raises(InputError, match=words):
            embedding_for(prompt, graph, folder)


def test_words_that_the_embedded_encoder_never_saw_are_refused() -> None:
    encoder = load_text_encoder()
    graph = GraphInfo(encoder.dim, encoder.name, 500.0, 'id')
    with pytest.raises(InputError, match='says nothing'):
        embedding_for('personnes', graph)
    assert embedding_for('people', graph).any()


@pytest.mark.parametrize(
    ('text', 'acts_as'),
    [
        ('somebody', 'people'),
        ('warm things', 'people'),
        ('anything alive', 'people'),
        ('a van', 'cars'),
        ('office buildings!', 'buildings'),
        ('a jogger near the SUV', 'people and cars'),
        ('cars, no people', 'cars'),
        ('<b>people</b><script>alert(1)</script>', 'people'),
        ('\N{FIRE ENGINE} people', 'people'),
        ('people ' * 1500, 'people'),
    ],
)
def test_words_that_the_encoder_never_learned_act_as_their_class_does(text: str, acts_as: str) -> None:
    encoder = load_text_encoder()
    wording, own = encoder.encode([text, acts_as])
    assert own.any()
    # A cut text may end within a word, and say the same thing often.
    assert np.allclose(wording, own) or len(text) > 4000


@pytest.mark.parametrize(
    'text', ['', 'no people', 'the important idea', 'люди', '煙の後ろの人', '?!', '\N{GRINNING FACE}']
)
def test_texts_that_name_nothing_have_no_effect(text: str) -> None:
    assert not load_text_encoder().encode([text]).any()


def test_what_has_no_effect_is_named() -> None:
    reading = load_text_encoder().read('highlight the idea of people, not cars, \N{GRINNING FACE}')
    assert reading.unknown == ('idea', '\N{GRINNING FACE}')
    assert reading.negated == ('not cars',)


class Recorder(BrightnessCaptioner):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.depths: list[np.ndarray] = []

    def describe(self, image: np.ndarray, depth: np.ndarray) -> Description:
        self.depths.append(depth)
        return super().describe(image, depth)


def test_both_captions_follow_each_other_and_depth_knows_the_focal_length() -> None:
    recorder = Recorder()
    captioner = PairCaptioner(*(Branch(DepthEstimator.load(name), recorder) for name in ('visible', 'thermal')))
    visible, thermal = np.full((96, 128, 3), 50, np.uint8), np.full((48, 64), 90, np.uint8)
    told = captioner(visible, thermal, focal=250.0)
    assert (told.visible.text, told.thermal.text, told.text) == (
        'grey of 50.',
        'grey of 90.',
        'grey of 50. grey of 90.',
    )
    assert captioner(None, thermal).text == 'grey of 90.'
    assert captioner(None, None).text == ''
    expected = DepthEstimator.load('thermal')(thermal, 125.0)
    assert np.allclose(recorder.depths[1], expected, rtol=1e-5)


def test_large_images_are_reduced_with_their_focal_length() -> None:
    recorder = Recorder()
    captioner = PairCaptioner(*(Branch(DepthEstimator.load(name), recorder) for name in ('visible', 'thermal')))
    captioner(np.full((2 * 64, 2 * LONGEST_SIDE, 3), 50, np.uint8), None, focal=500.0)
    expected = DepthEstimator.load('visible')(np.full((64, LONGEST_SIDE, 3), 50, np.uint8), 250.0)
    assert np.allclose(recorder.depths[0], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ('prompt', 'words'), [('', 'empty'), ('\x07', 'control'), ('люди', 'English'), ('x' * 400, 'at most')]
)
def test_the_command_refuses_a_bad_prompt_in_one_line(
    prompt: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / 'image.png'
    write_image(image, np.full((64, 64), 90, np.uint8))
    files = ['--visible', str(image), '--thermal', str(image), '--output', str(tmp_path / 'out')]
    assert main(['fuse', *files, '--prompt', prompt]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / 'out').exists()


def test_a_prompt_is_noted_and_changes_the_fused_image(tmp_path: Path) -> None:
    from ldfusion_models.graph.manifest import read_manifest

    if not read_manifest().text_encoder:
        pytest.skip('the shipped weights have no modulation yet')
    generator = np.random.default_rng(0)
    image = tmp_path / 'image.png'
    write_image(image, generator.integers(0, 255, (96, 96), np.uint8))
    files = ['--visible', str(image), '--thermal', str(image)]
    assert main(['fuse', *files, '--output', str(tmp_path / 'plain')]) == 0
    assert main(['fuse', *files, '--output', str(tmp_path / 'people'), '--prompt', 'people']) == 0
    plain, people = ((tmp_path / name / 'fused' / 'image.png').read_bytes() for name in ('plain', 'people'))
    assert plain != people
    assert json.loads((tmp_path / 'people' / 'summary.json').read_text())['prompt'] == 'people'


@pytest.mark.parametrize(
    'words', [[], ['--visible', 'a.png'], ['--dataset', 'absent', '--labels'], ['--visible', 'a', '--thermal', 'b']]
)
def test_bad_words_for_caption_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['caption', *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
