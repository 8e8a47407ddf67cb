"""Captions of pairs and prompts, without a robot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')

from tiny_language import BrightnessCaptioner, write_encoder

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_models.graph.info import GraphInfo
from ldfusion_models.graph.manifest import SHIPPED
from ldfusion_models.language.facts import Description, Facts, Mention
from ldfusion_models.language.guidance import (
    CAPTION_STRENGTH,
    LONGEST_SIDE,
    Branch,
    Captions,
    PairCaptioner,
    embedding_of,
    embedding_of_captions,
    prompt_for,
    read_prompt,
)
from ldfusion_models.language.text import TextEncoder, load_text_encoder
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.cli import main


@pytest.fixture(scope='module')
def encoder() -> TextEncoder:
    return load_text_encoder()


@pytest.mark.parametrize(
    ('prompt', 'text', 'ignored'),
    [
        ('people', 'people', ()),
        ('  people \n behind\tthe smoke ', 'people behind the smoke', ()),
        ('ｐｅｏｐｌｅ', 'people', ()),
        ('', '', ()),
        (' \n ', '', ()),
        ('\x1b[2Jpeople', '[2Jpeople', ('unknown', '2Jpeople')),
        ('people\u202eelpoep', 'people elpoep', ('unknown', 'elpoep')),
        ('cars, no people', 'cars, no people', ('not wanted', 'no people')),
        ('no people', 'no people', ('not wanted', 'names nothing')),
        ('люди', 'люди', ('unknown', 'люди', 'names nothing', 'English')),
        ('?!', '?!', ('names nothing',)),
        ('\N{GRINNING FACE} people', '\N{GRINNING FACE} people', ('unknown', '\N{GRINNING FACE}')),
        ('<b>people</b><script>alert(1)</script>', '<b>people</b><script>alert(1)</script>', ('script',)),
        ('people ' * 1500, ('people ' * 43).strip(), ('cut after 300 of 10500',)),
        ('x' * 10000, 'x' * 300, ('cut after 300 of 10000', 'names nothing')),
    ],
)
def test_a_prompt_is_text_and_what_has_no_effect_is_named(
    encoder: TextEncoder, prompt: str, text: str, ignored: tuple[str, ...]
) -> None:
    read = read_prompt(prompt, encoder)
    assert read.text == text
    assert bool(read.ignored) == bool(ignored)
    told = '; '.join(read.ignored)
    assert all(words in told for words in ignored), told


def test_many_unknown_words_are_counted(encoder: TextEncoder) -> None:
    read = read_prompt('people ' + ' '.join(f'blorp{letter}' for letter in 'abcdefghijk'), encoder)
    assert read.ignored[0].endswith('blorph and 3 more')


def test_embeddings_are_only_for_weights_that_know_the_encoder(tmp_path: Path) -> None:
    folder = str(write_encoder(tmp_path / 'clip'))
    encoder = load_text_encoder(folder)
    good = GraphInfo(64, encoder.name, 500.0, 'id')
    prompt, embedding = prompt_for(' people ', good, folder)
    assert prompt.text == 'people'
    assert np.array_equal(embedding, encoder.encode(['people'])[0])
    for words, graph, problem in (
        ('', good, 'prompt is empty'),
        ('people', GraphInfo(64, '', 500.0, 'id'), 'without text'),
        ('people', GraphInfo(64, 'another', 500.0, 'id'), "need 'another'"),
    ):
        with pytest.raises(InputError, match=problem):
            prompt_for(words, graph, folder)


def test_a_damaged_list_of_words_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / 'weights'
    shutil.copytree(SHIPPED, weights)
    with (weights / 'text' / 'words.txt').open('a') as words:
        words.write('cars: tomato\n')
    with pytest.raises(InputError, match=r'words\.txt: sha256'):
        load_text_encoder(weights=weights)


@pytest.mark.parametrize(
    ('text', 'acts_as'),
    [
        ('somebody', 'people'),
        ('a pedestrian', 'people'),
        ('two lorries on the left', 'trucks'),
        ('cars and people', 'people and cars'),
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
def test_words_that_the_encoder_never_learned_act_as_their_class_does(
    encoder: TextEncoder, text: str, acts_as: str
) -> None:
    wording, own = encoder.encode_named([text, acts_as])
    assert own.any()
    assert np.array_equal(wording, own)


@pytest.mark.parametrize(
    'text', ['', 'no people', 'the important idea', 'люди', '煙の後ろの人', '?!', '\N{GRINNING FACE}']
)
def test_texts_that_name_nothing_have_no_effect(encoder: TextEncoder, text: str) -> None:
    assert not encoder.encode([text]).any()


def test_what_has_no_effect_is_named(encoder: TextEncoder) -> None:
    reading = encoder.read('highlight the idea of people, not cars, \N{GRINNING FACE}')
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


def test_captions_name_what_both_cameras_tell_of() -> None:
    car, people = Mention('car', 'left', 8.0), [Mention('person', 'right', each) for each in (5.0, 9.0)]
    told = [Description(text, Facts('street', mentions=tuple(each))) for text, each in (('a', people), ('b', [car]))]
    assert Captions(*told).named == 'people and cars'
    encoder = load_text_encoder()
    embedding, prompt = embedding_of_captions(encoder, Captions(*told)), embedding_of(encoder, 'people and cars')
    np.testing.assert_allclose(embedding, CAPTION_STRENGTH * prompt, rtol=1e-6)
    assert Captions(Description('', Facts('street')), Description()).named == '', 'a place is no thing'
    assert Captions(Description('a man on a bike'), Description()).named == 'a man on a bike'


def test_large_images_are_reduced_with_their_focal_length() -> None:
    recorder = Recorder()
    captioner = PairCaptioner(*(Branch(DepthEstimator.load(name), recorder) for name in ('visible', 'thermal')))
    captioner(np.full((2 * 64, 2 * LONGEST_SIDE, 3), 50, np.uint8), None, focal=500.0)
    expected = DepthEstimator.load('visible')(np.full((64, LONGEST_SIDE, 3), 50, np.uint8), 250.0)
    assert np.allclose(recorder.depths[0], expected, rtol=1e-4)
    captioner(np.full((32, 4 * LONGEST_SIDE, 3), 50, np.uint8), None)
    assert recorder.depths[1].shape == (32, 4 * LONGEST_SIDE), 'what can be fused can be described'


def test_the_command_refuses_an_empty_prompt_and_names_what_has_no_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / 'image.png'
    write_image(image, np.full((64, 64), 90, np.uint8))
    files = ['--visible', str(image), '--thermal', str(image), '--output', str(tmp_path / 'out')]
    assert main(['fuse', *files, '--prompt', '\x07']) == 2
    assert capsys.readouterr().err.splitlines() == [
        'ldfusion: prompt is empty; name what matters, such as "people", or leave it out'
    ]
    assert not (tmp_path / 'out').exists()
    assert main(['fuse', *files, '--prompt', 'cars and glimmocks, no people']) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if 'prompt' in line]
    assert said == [
        'ldfusion: prompt: unknown, so without effect: glimmocks; what is not wanted has no effect: no people'
    ]


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


@pytest.mark.parametrize('words', [[], ['--visible', 'a.png'], ['--visible', 'a', '--thermal', 'b']])
def test_bad_words_for_caption_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['caption', *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
