"""Published text encoders: fetched by open_clip's name, and never downloaded unasked."""

from pathlib import Path

import pytest
from hub import Hub, serving

pytest.importorskip('huggingface_hub')
from tiny_language import open_clip, write_encoder

from ldfusion_models.errors import InputError
from ldfusion_models.files import sha256_of
from ldfusion_models.language.text import load_text_encoder
from ldfusion_models.published.store import folder_of
from ldfusion_training.cli import main

NAME, ON_HUB = 'ViT-B-32/openai', 'timm/vit_base_patch32_clip_224.openai'


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


def test_a_text_encoder_comes_when_it_is_asked_for_and_never_else(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip, 'create_model', lambda *_, **__: pytest.fail('open_clip must not download'))
    with pytest.raises(InputError, match=f'ldfusion models fetch {ON_HUB}'):
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
