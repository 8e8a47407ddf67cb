"""Published text encoders: fetched by open_clip's name and never unasked, fitted, and used by both nodes."""

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub import Hub, serving
from paths import DATA

pytest.importorskip('huggingface_hub')
from tiny_captioner import ANSWERS, write_florence
from tiny_language import MOBILE, open_clip, torch, write_encoder

from ldfusion_models.engines import create_engine
from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of
from ldfusion_models.language.text import load_text_encoder
from ldfusion_models.language.words import meaning_of
from ldfusion_models.networks.modulation import SemanticModulation
from ldfusion_models.published.store import fitted_fusion, folder_of
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.cli import main
from ldfusion_training.commands.models import preparing
from ldfusion_training.language import named
from ldfusion_training.language.prompt_effect import classes_named
from ldfusion_training.language.wording import HELD_OUT
from ldfusion_training.stages.text_fit import fit_names

NAME, ON_HUB = 'ViT-B-32/openai', 'timm/vit_base_patch32_clip_224.openai'
NOUNS = DATA / 'teachers/clip_vit_b32_nouns.npz'


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny CLIP as the hub has it, and an empty store."""
    monkeypatch.setenv('LDFUSION_MODELS', str(tmp_path / 'store'))
    folder = write_encoder(tmp_path / 'published')
    (folder / 'model.safetensors').write_bytes(b'the same for another library')
    return folder


def fetch(published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with serving(Hub(ON_HUB, published)) as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        assert main(['models', 'fetch', NAME]) == 0
    return folder_of(ON_HUB)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A tiny CLIP that was fetched and prepared by its name, and what was said."""
    root = tmp_path_factory.mktemp('prepared')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('LDFUSION_MODELS', str(root / 'store'))
        folder = fetch(write_encoder(root / 'published'), patch)
        with contextlib.redirect_stdout(io.StringIO()) as told, patch.context() as fewer:
            for count in ('WORDINGS_OF_SEVERAL', 'WORDS_OF_MEANING', 'WORDS_OF_NONE'):
                fewer.setattr(named, count, 5)
            fewer.setattr(preparing, 'SCENES_SHOWN', 1)
            assert main(['models', 'prepare', NAME]) == 0
        yield folder, told.getvalue()


def test_a_text_encoder_comes_when_it_is_asked_for_and_never_else(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('open_clip.create_model', lambda *_, **__: pytest.fail('open_clip must not download'))
    with pytest.raises(InputError, match=f'ldfusion models fetch {NAME}'):
        load_text_encoder(NAME)
    monkeypatch.undo()
    monkeypatch.setenv('LDFUSION_MODELS', str(published.parent / 'store'))
    folder = fetch(published, monkeypatch)
    assert not (folder / 'model.safetensors').exists()
    encoder = load_text_encoder(NAME)
    weights = sha256_of(published / 'open_clip_model.safetensors')
    assert encoder.name == load_text_encoder(ON_HUB).name == f'{folder.name}-{weights[:12]}'
    (folder / 'open_clip_model.safetensors').write_bytes(b'damaged')
    with pytest.raises(InputError, match='not what was fetched'):
        load_text_encoder(NAME)


def test_a_tower_of_the_kind_of_mobileclip_is_read_as_open_clip_reads_it(tmp_path: Path) -> None:
    encoder = load_text_encoder(str(write_encoder(tmp_path / 'mobile', is_mobile=True)))
    torch.manual_seed(0)
    tower = open_clip.CustomTextCLIP(**MOBILE).eval()
    with torch.no_grad():
        expected = tower.encode_text(open_clip.tokenize(['people']), normalize=True)
    np.testing.assert_allclose(encoder.encode(['people']), expected, atol=1e-5)


def test_a_text_encoder_is_not_used_before_it_is_prepared(
    published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(published, monkeypatch)
    assert main(['models', 'use', NAME, '--output', str(published / 'robot.yaml')]) == 2
    assert f'ldfusion models prepare {NAME}' in capsys.readouterr().err


def test_prepare_fits_the_fusion_and_use_names_it_for_both_nodes(prepared: tuple[Path, str], tmp_path: Path) -> None:
    folder, told = prepared
    assert 'of the texts left out' in told
    assert told.count('| people |') == 2, 'the effect of prompts, with either encoder'
    output = tmp_path / 'robot.yaml'
    assert main(['models', 'use', NAME, '--output', str(output)]) == 0
    nodes = {name: node['ros__parameters'] for name, node in yaml.safe_load(output.read_text()).items()}
    assert nodes == {f'/**/{node}': {'text_encoder': NAME} for node in ('fusion_node', 'guidance_node')}
    encoder = load_text_encoder(NAME)
    own, fitted = create_engine('onnxruntime'), create_engine('onnxruntime', fitted_fusion(NAME))
    assert (fitted.info.text_dim, fitted.info.text_encoder) == (encoder.dim, encoder.name)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 4), np.uint8)
    pair = images[..., :3].copy(), images[..., 3:].copy()
    without = [engine.run(*pair, np.zeros((1, engine.info.text_dim), np.float32)) for engine in (own, fitted)]
    np.testing.assert_array_equal(*(output.fused for output in without))
    np.testing.assert_array_equal(*(output.depth for output in without))
    assert not list(folder.glob('.begun*'))


@pytest.mark.usefixtures('prepared')
def test_both_nodes_use_it_over_dds_beside_a_published_captioner(tmp_path: Path) -> None:
    """A prompt of guidance_node, a process of its own, does in fusion_node what it does offline."""
    pytest.importorskip('rclpy', reason='needs ROS 2: pip install .[ros]')
    from live import Robot, run_guidance, scene
    from std_msgs.msg import String

    from ldfusion_ros.messages.conversions import image_from_message

    write_florence(tmp_path / 'words')
    assert main(['models', 'fetch', 'owner/words', '--source', str(tmp_path / 'words')]) == 0
    fuse, encoder = Pipeline(create_engine('onnxruntime', fitted_fusion(NAME))), load_text_encoder(NAME)
    plain, told = (fuse(*scene(), text).fused for text in (None, encoder.encode(['building'])[0]))
    assert not np.array_equal(plain, told)
    with Robot({'engine': 'onnxruntime', 'text_encoder': NAME}) as robot:
        captions: list[str] = []
        robot.other.create_subscription(
            String, '/guidance_node/caption', lambda message: captions.append(message.data), robot.latched()
        )
        prompts = robot.other.create_publisher(String, '/guidance_node/prompt', 1)
        robot.wait(robot.is_ready, 'node ready')
        np.testing.assert_array_equal(image_from_message(robot.fuse_good_pair()), plain)
        words = ('-p', f'text_encoder:={NAME}', '-p', 'captioner:=owner/words', '-p', 'niceness:=0')
        guidance = run_guidance(robot.domain, *words)

        def has_caption() -> bool:
            robot.send_pair()
            time.sleep(0.5)
            return bool(captions)

        def has_effect() -> bool:
            prompts.publish(String(data='building'))
            return np.array_equal(image_from_message(robot.fuse_good_pair()), told)

        try:
            robot.wait(has_caption, 'a caption', 120)
            assert set(captions[0].partition('.')[0].lower().split()) <= set(ANSWERS)
            assert 'The nearest things are at' in captions[0]
            robot.wait(has_effect, 'the effect of the prompt')
        finally:
            guidance.terminate()
            guidance.communicate(timeout=30)


def test_the_texts_of_the_fit_name_what_people_mean_and_not_what_is_held_out() -> None:
    texts = named.worded_names()
    assert (texts['lorry'], texts['hotel'], texts['winter']) == (('truck',), ('building',), ())
    assert sum(not names for names in texts.values()) == named.WORDS_OF_NONE
    assert {name for names in texts.values() for name in names} == set(named.EVERYTHING)
    assert not set(texts) & {wording.removeprefix('a ') for wordings in HELD_OUT.values() for wording in wordings}


def test_a_fit_tells_what_embeddings_name_and_that_noise_names_nothing_surely() -> None:
    random = np.random.default_rng(0)
    centres, kinds = random.standard_normal((5, 48)), random.integers(0, 5, 600)
    embeddings = (centres[kinds] + 0.3 * random.standard_normal((600, 48))).astype(np.float32)
    names = np.eye(27, dtype=bool)[kinds]
    torch.manual_seed(0)
    assert fit_names(SemanticModulation(48, 27), embeddings, names) > 0.99
    assert fit_names(SemanticModulation(48, 27), random.standard_normal((600, 48), np.float32), names) < 0.4


@pytest.mark.skipif(not NOUNS.is_file(), reason='needs the shared data: embeddings of nouns by a real CLIP')
def test_the_fit_to_a_real_clip_tells_what_unseen_nouns_mean() -> None:
    """Of nouns that name a thing, most do so; of those that name nothing, most stay without effect."""
    with np.load(NOUNS) as nouns:
        words, embeddings = [str(name)[2:] for name in nouns['names']], nouns['embeddings'].astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    lexicon, of_meaning = named.lexicon(), named.names_by_meaning()
    wanted = np.stack([classes_named(of_meaning.get(meaning_of(word, lexicon), ())) for word in words])
    torch.manual_seed(0)
    semantics = SemanticModulation(512, wanted.shape[1])
    unseen = np.arange(len(words)) % 4 == 1
    fit_names(semantics, embeddings[~unseen], wanted[~unseen])
    with torch.no_grad():
        found = semantics.of_text(torch.from_numpy(embeddings[unseen]))[0].numpy() > 0.5
    wanted = wanted[unseen]
    names = wanted.any(axis=1)
    right = (found == wanted).all(axis=1)
    assert names.sum() > 60
    assert right[names].mean() > 0.6
    assert right[~names].mean() > 0.85
