"""Captions and texts: what they say can be read back, what they mean is measured, bad input is named."""

import dataclasses
import json
import shutil
import string
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from heavy import WhenUsed
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip('torch')
open_clip = WhenUsed('open_clip')
pytest.importorskip('accelerate')

from ldfusion_models.engines.onnxruntime_engine import open_part  # noqa: E402
from ldfusion_models.errors import InputError  # noqa: E402
from ldfusion_models.graph.manifest import SHIPPED, load_part, read_manifest  # noqa: E402
from ldfusion_models.language import captions  # noqa: E402
from ldfusion_models.language.captioner import Captioner, load_captioners  # noqa: E402
from ldfusion_models.language.facts import LIGHTS, SIDES, WEATHERS, Facts, Mention, groups_of  # noqa: E402
from ldfusion_models.language.published_captioner import depth_phrase  # noqa: E402
from ldfusion_models.language.text import TextEncoder, load_text_encoder  # noqa: E402
from ldfusion_models.language.words import clean  # noqa: E402
from ldfusion_models.mappings import from_mapping  # noqa: E402
from ldfusion_models.networks.captioner import CaptionerConfig, CaptionNetwork  # noqa: E402
from ldfusion_training.cli import main  # noqa: E402
from ldfusion_training.language import facts, wording  # noqa: E402
from ldfusion_training.language.evaluation import DescribedScene, majority_facts, score_captions  # noqa: E402
from ldfusion_training.language.tokenizer import as_tokenizer  # noqa: E402
from ldfusion_training.runs.trainer import CHECKPOINT, read_checkpoint, train  # noqa: E402
from ldfusion_training.stages import captioner as captioner_stage  # noqa: E402
from ldfusion_training.stages import clip as clip_stage  # noqa: E402

MENTIONS = st.builds(
    Mention,
    st.sampled_from(facts.CLASSES),
    st.sampled_from(SIDES),
    st.sampled_from(captions.DISTANCES).map(float),
    st.booleans(),
)
FACTS = st.builds(
    Facts,
    st.sampled_from(tuple(wording.PLACE_WORDS)),
    st.sampled_from(LIGHTS),
    st.sampled_from(WEATHERS),
    st.lists(MENTIONS, max_size=5).map(tuple),
)

tokenizer = cache(lambda: open_clip.SimpleTokenizer())
rust_tokenizer = cache(lambda: as_tokenizer(tokenizer()))
trained_tokens = cache(lambda: set(clip_stage.training_tokens(tokenizer()).tolist()))


@pytest.fixture(scope='module')
def encoder() -> TextEncoder:
    return load_text_encoder()


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small simulated frames."""
    folder = tmp_path_factory.mktemp('simulated') / 'scenes'
    words = ['simulate', '--scenes', '4', '--frames', '1', '--size', '160x120', '--seed', '77', '--output', str(folder)]
    assert main(words) == 0
    return folder


@given(FACTS)
@settings(max_examples=60, deadline=None)
def test_a_caption_can_be_read_back(told: Facts) -> None:
    read = captions.read_caption(captions.caption(told, thermal=False))
    assert (read.place, read.light, read.weather) == (told.place, told.light, told.weather)
    wanted = [(each.name, each.side, each.distance_m) for group in groups_of(told.mentions) for each in group]
    assert [(each.name, each.side, each.distance_m) for each in read.mentions] == wanted


@given(FACTS, st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_wording_is_made_of_words_that_the_encoder_is_trained_on(told: Facts, seed: int) -> None:
    random = np.random.default_rng(seed)
    topics = dataclasses.replace(told, topics=(told.mentions[0].name,) if told.mentions else ('road',), mentions=())
    tokens = [token for each in (told, topics) for token in tokenizer().encode(wording.reword(random, each))]
    assert set(tokens) <= trained_tokens()


@given(FACTS.filter(lambda told: bool(told.mentions)), st.sampled_from(SIDES), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_one_aspect_is_changed_and_no_other(told: Facts, _: str, seed: int) -> None:
    other = facts.change_aspect(np.random.default_rng(seed), told, 'side')
    assert other != told
    assert [dataclasses.replace(each, side='') for each in other.mentions] == [
        dataclasses.replace(each, side='') for each in told.mentions
    ]
    darker = facts.change_aspect(np.random.default_rng(seed), told, 'light')
    assert darker.light != told.light
    assert dataclasses.replace(darker, light=told.light) == told


@given(FACTS)
@settings(max_examples=40, deadline=None)
def test_facts_that_are_not_sure_are_left_out(told: Facts) -> None:
    doubtful = Facts('', '', '', tuple(dataclasses.replace(each, distance_m=0.0) for each in told.mentions))
    text = captions.caption(doubtful, thermal=False)
    assert text.startswith('Scene.')
    assert not any(character.isdigit() for character in text)
    read = captions.read_caption(text)
    assert (read.place, read.light, read.weather) == ('', '', '')
    wanted = [(each.name, each.side) for group in groups_of(told.mentions) for each in group]
    assert [(each.name, each.side) for each in read.mentions] == wanted


def test_scores_of_perfect_mirrored_and_constant_captions() -> None:
    near = Mention('person', 'left', 5.0)
    far = Mention('car', 'right', 20.0)
    truths = []
    for weather in ('clear', 'smoke', 'clear'):
        told = Facts('street', 'night', weather, (near, far))
        truths.append(DescribedScene(told, told))
    perfect = score_captions(truths, [captions.caption(each.wanted, False) for each in truths])
    assert (perfect.recall, perfect.precision, perfect.side, perfect.weather, perfect.distance_m) == (1, 1, 1, 1, 0)
    mirrored = score_captions(truths, ['Night street. A person on the right at 5 m. A car on the left at 22 m.'] * 3)
    assert (mirrored.recall, mirrored.precision, mirrored.side) == (1, 1, 0)
    assert mirrored.weather == pytest.approx(2 / 3)
    assert mirrored.distance_m_of == {'person': 0, 'car': 2}
    invented = score_captions(truths, ['Night street. A person on the left at 30 m. A truck ahead at 9 m.'] * 3)
    assert (invented.recall, invented.precision) == (0, 0)
    assert majority_facts(truths) == Facts('street', 'night', 'clear', (near, far))


def test_wordings_of_equal_meaning_lie_nearer_than_those_of_another(encoder: TextEncoder) -> None:
    same = [
        ('people', 'pedestrians', 'cars'),
        ('a person on the left at 5 m', 'on the left, 5 metres away, a pedestrian', 'a person on the right at 5 m'),
        ('night street', 'street, dark', 'street by day'),
        ('road markings', 'lane lines', 'people'),
    ]
    for text, paraphrase, other in same:
        first, second, third = encoder.encode([text, paraphrase, other])
        assert first @ second > first @ third + 0.1, text


def test_embeddings_are_those_of_stock_open_clip(encoder: TextEncoder) -> None:
    source = f'local-dir:{SHIPPED / "text"}'
    texts = ['Two people on the left at 8 m and 12 m.', 'road']
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(source)(texts)
        expected = open_clip.create_model(source).eval().encode_text(tokens, normalize=True).numpy()
    embeddings = encoder.encode(texts)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert embeddings.shape == (2, encoder.dim)
    assert encoder.dim == read_manifest().config['fusion']['text_dim']


@given(st.text(string.ascii_letters + string.digits + string.punctuation.replace('&', '') + ' \n', max_size=60))
@settings(max_examples=100, deadline=None)
@example("two people's bikes, a van and 12 lorries!?")
def test_texts_become_the_tokens_of_open_clip(text: str) -> None:
    assert rust_tokenizer().encode(text).ids == tokenizer().encode(text)


@pytest.mark.parametrize('size', [(96, 64), (160, 224)])
def test_the_captioner_is_its_network_in_pytorch(size: tuple[int, int]) -> None:
    manifest = read_manifest()
    network = CaptionNetwork(from_mapping(CaptionerConfig, manifest.parts['captioner']['config'], 'test'))
    load_part(network, manifest, 'captioner')
    image = np.random.default_rng(0).random((1, 3, *size), np.float32)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(image))
    found = open_part('captioner', None, 1).run(None, {'image': image})
    for name, values in zip(('boxes', 'objectness', 'classes', 'scene'), found, strict=True):
        np.testing.assert_allclose(values, getattr(expected, name).numpy(), rtol=1e-3, atol=1e-3, err_msg=name)


def test_texts_that_say_nothing_are_no_text(encoder: TextEncoder) -> None:
    nothing = encoder.encode(['', '  \n', '\x00\x07\x1b', '你好', '!!! ...', '\ud800'])
    assert nothing.shape == (6, encoder.dim)
    assert not nothing.any()
    assert encoder.encode([]).shape == (0, encoder.dim)
    plain, dirty, endless = encoder.encode(['people', 'peo\x00ple people\x1b', 'people ' * 100_000])
    assert plain @ encoder.encode(['\tpeople\n'])[0] == pytest.approx(1, abs=1e-5)
    for odd in (dirty, endless):
        assert np.isfinite(odd).all()
        assert np.linalg.norm(odd) == pytest.approx(1, abs=1e-5)
    assert clean('a\x00b\u200b c') == 'a b c'


def test_another_encoder_is_a_folder_away(tmp_path: Path) -> None:
    config = {
        'embed_dim': 24,
        'vision_cfg': {'image_size': 32, 'patch_size': 16, 'width': 32, 'layers': 1, 'head_width': 16},
        'text_cfg': {'context_length': 12, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 1},
    }
    folder = tmp_path / 'tiny'
    folder.mkdir()
    (folder / 'open_clip_config.json').write_text(json.dumps({'model_cfg': config, 'preprocess_cfg': {}}))
    with pytest.raises(InputError, match='no safetensors'):
        load_text_encoder(str(folder))
    torch.manual_seed(0)
    from safetensors.torch import save_file

    made = open_clip.CLIP(**config).state_dict()
    torch.save(made, folder / 'open_clip_pytorch_model.bin')
    with pytest.raises(InputError, match='pickled weights are not loaded'):
        load_text_encoder(str(folder))
    save_file(made, folder / 'open_clip_model.safetensors')
    encoder = load_text_encoder(str(folder))
    assert encoder.dim == 24
    assert encoder.name.startswith('tiny-')
    assert encoder.encode(['people', '你好', '']).any(axis=1).tolist() == [True, True, False]


@pytest.mark.parametrize('setting', ['nonsense', 'ViT-B-32/nobody', 'no/such/folder'])
def test_an_unknown_encoder_is_named(setting: str) -> None:
    with pytest.raises(InputError, match=setting):
        load_text_encoder(setting)


def test_damaged_weights_are_refused_and_the_frame_graph_needs_none_of_them(tmp_path: Path) -> None:
    folder = tmp_path / 'weights'
    shutil.copytree(SHIPPED, folder)
    for part in ('captioner', 'text'):
        file = folder / read_manifest(folder).parts[part]['file']
        file.write_bytes(file.read_bytes()[:-1] + b'?')
    with pytest.raises(InputError, match='sha256'):
        load_text_encoder(weights=folder)
    with pytest.raises(InputError, match='sha256'):
        load_captioners(weights=folder)
    read_manifest(folder).verified_graph()
    assert read_manifest(folder).weights_id == read_manifest().weights_id


def test_the_captioner_describes_images_of_any_size_and_refuses_what_is_none() -> None:
    captioner = Captioner.load('thermal')
    random = np.random.default_rng(0)
    for shape in ((48, 64), (130, 97), (480, 640, 3)):
        depth = np.full(shape[:2], 8.0, np.float32)
        depth[: shape[0] // 2] = np.nan
        told = captioner.describe(random.integers(0, 255, shape, np.uint8).astype(np.uint8), depth)
        assert told.text.startswith('Infrared')
        assert told.text.endswith('.')
        assert told.facts is not None
        read = captions.read_caption(told.text)
        assert [each.name for group in groups_of(told.facts.mentions[:8]) for each in group] == [
            each.name for each in read.mentions
        ]
    with pytest.raises(InputError, match='depth of shape'):
        captioner.describe(np.zeros((48, 64), np.uint8), np.ones((48, 60), np.float32))
    with pytest.raises(InputError, match='modality'):
        Captioner.load('radar')


def test_depth_layout_names_the_nearest_thing_on_each_side() -> None:
    depth = np.full((90, 100), 30.0, np.float32)
    depth[10:50, 5:30] = 4.0
    depth[70:] = 1.0
    depth[:, 62:] = np.nan
    assert depth_phrase(depth) == ['The nearest things are at 4 m on the left, 30 m ahead.']
    assert depth_phrase(np.full((9, 9), np.nan, np.float32)) == []


def test_a_published_captioner_is_a_folder_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip('transformers')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '[DEC]', 'a', 'street', 'people', 'car', 'at', 'night']
    (tmp_path / 'vocab.txt').write_text('\n'.join(words))
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / 'vocab.txt'))
    pixels = transformers.BlipImageProcessor(size={'height': 32, 'width': 32})
    size = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1, 'num_attention_heads': 2}
    config = transformers.BlipConfig(
        text_config={
            **size, 'vocab_size': len(words), 'encoder_hidden_size': 16, 'max_position_embeddings': 64,
            'bos_token_id': 5, 'eos_token_id': 3, 'sep_token_id': 3, 'pad_token_id': 0,
        },
        vision_config={**size, 'image_size': 32, 'patch_size': 16},
    )  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path / 'blip'
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    transformers.BlipProcessor(pixels, tokenizer).save_pretrained(folder)
    visible, thermal = load_captioners(str(folder))
    depth = np.full((60, 80), 7.0, np.float32)
    for captioner, shape in ((visible, (60, 80, 3)), (thermal, (60, 80))):
        text = captioner.describe(np.full(shape, 90, np.uint8), depth).text
        assert text.endswith('The nearest things are at 7 m on the left, 7 m ahead, 7 m on the right.')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(InputError, match='no-such-captioner'):
        load_captioners(str(tmp_path / 'no-such-captioner'))


STAGES = {
    'clip': (clip_stage, {'network': {'text_width': 16, 'text_layers': 1, 'image_width': 32, 'image_layers': 1}}),
    'captioner': (captioner_stage, {}),
}


@pytest.mark.parametrize('name', STAGES)
def test_a_stage_trains_resumes_exactly_and_is_released(name: str, scenes: Path, tmp_path: Path) -> None:
    module, sizes = STAGES[name]
    trainer = {'batch_size': 2, 'warmup': 1, 'checkpoint_every': 2, 'steps': 4}
    data = {'simulated': [str(scenes)], 'crop': 128} if name == 'captioner' else {'folders': [str(scenes)]}
    config = from_mapping(module.CONFIG, {'trainer': trainer, 'data': data, **sizes}, 'test')
    whole = [report.losses['loss'] for report in train(module.create(config), config.trainer, tmp_path / 'whole')]
    for report in train(module.create(config), config.trainer, tmp_path / 'parts'):
        if report.step == 3:
            break
    stage = module.create(config)
    resumed = [report.losses['loss'] for report in train(stage, config.trainer, tmp_path / 'parts', resume=True)]
    assert resumed == pytest.approx(whole[2:], rel=1e-5)
    assert stage.picture().dtype == np.uint8
    weights = tmp_path / 'weights'
    weights.mkdir()
    for file in SHIPPED.iterdir():
        if file.is_file():
            shutil.copy(file, weights)
    part = 'text' if name == 'clip' else name
    words = ['release', '--part', part, '--output', str(weights)]
    assert main([*words, '--checkpoint', str(tmp_path / 'parts' / CHECKPOINT)]) == 0
    if name == 'captioner':
        told = Captioner.load('visible', weights).describe(
            np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)
        )
        assert told.text.endswith('.')
    else:
        embedding = load_text_encoder(weights=weights).encode(['people'])
        tokens = torch.from_numpy(np.stack([stage._numbers('people')]))  # type: ignore[attr-defined]
        expected = stage._encode(tokens).detach().numpy()  # type: ignore[attr-defined]
        np.testing.assert_allclose(embedding, expected, atol=5e-3)
    assert read_checkpoint(tmp_path / 'parts' / CHECKPOINT)['step'] == 4


def test_commands_measure_captions_and_texts(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ['--scenes', str(scenes), '--json', str(tmp_path / 'scores.json')]
    assert main(['evaluate', 'text', *words]) == 0
    assert 0 <= json.loads((tmp_path / 'scores.json').read_text())['side']['separated'] <= 1
    assert main(['evaluate', 'captions', *words, '--captions', str(tmp_path / 'captions.json')]) == 0
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert set(scores) >= {'visible', 'thermal', 'visible, majority'}
    assert scores['thermal']['light'] is None, 'thermal captions tell no light'
    assert len(json.loads((tmp_path / 'captions.json').read_text())) == 4
    assert '| visible |' in capsys.readouterr().out
    assert main(['evaluate', 'text', '--scenes', str(tmp_path)]) == 2
    assert 'dataset.yaml' in capsys.readouterr().err
