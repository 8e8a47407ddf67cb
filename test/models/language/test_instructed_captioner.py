"""A captioner that follows instructions: the classes of SmolVLM (Idefics3), tiny and random, from a folder."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')
pytest.importorskip('torchvision')

from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

from ldfusion_models.language.published_captioner import PublishedCaptioner  # noqa: E402

MARKS = {
    'image_token': '<image>',
    'fake_image_token': '<fake_token_around_image>',
    'global_image_token': '<global-img>',
}
ENDS = {'unk_token': '<unk>', 'eos_token': '<end_of_utterance>', 'pad_token': '<pad>'}
SAID = ('User', ':', 'Assistant', 'Describe', 'the', 'image', 'in', 'one', 'sentence', '.')
ANSWERS = ('street', 'people', 'night')
WORDS = (*ENDS.values(), *MARKS.values(), *SAID, *ANSWERS)
TEMPLATE = (
    "{% for m in messages %}User:{% for c in m['content'] %}{{'<image>' if c['type'] == 'image' else c['text']}}"
    '{% endfor %}{% endfor %} Assistant:'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token='<unk>'))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = list(MARKS.values())
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, additional_special_tokens=marks, **ENDS)
    for name, mark in MARKS.items():
        setattr(tokenizer, name, mark)
        setattr(tokenizer, f'{name}_id', WORDS.index(mark))
    pixels = transformers.Idefics3ImageProcessor(
        size={'longest_edge': 64}, max_image_size={'longest_edge': 32}, do_image_splitting=False
    )
    size = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1, 'num_attention_heads': 2}
    ids = {f'{name}_token_id': WORDS.index(ENDS[f'{name}_token']) for name in ('pad', 'eos')}
    text = {'model_type': 'llama', **size, 'num_key_value_heads': 2, 'vocab_size': len(WORDS), **ids}
    config = transformers.Idefics3Config(
        image_token_id=WORDS.index('<image>'),
        pad_token_id=ids['pad_token_id'],
        scale_factor=2,
        vision_config={**size, 'image_size': 32, 'patch_size': 8},
        text_config={**text, 'bos_token_id': 0},
    )
    torch.manual_seed(0)
    network = transformers.Idefics3ForConditionalGeneration(config)
    # Whatever is seen, the answer is one of three words, again and again.
    network.lm_head.weight.data.zero_()
    network.lm_head.weight.data[-len(ANSWERS) :] = torch.tensor([[1.0], [-1.0], [0.0]])
    network.save_pretrained(tmp_path)
    transformers.Idefics3Processor(pixels, tokenizer, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize('shape', [(60, 80, 3), (60, 80)], ids=['visible', 'thermal'])
def test_the_answer_is_told_without_the_instruction(folder: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    told = PublishedCaptioner.load(str(folder)).describe(image, np.full((60, 80), 7.0, np.float32)).text
    answer, _, phrase = told.partition('. ')
    assert set(answer.lower().split()) <= set(ANSWERS)
    assert answer, told
    assert phrase == 'The nearest things are at 7 m on the left, 7 m ahead, 7 m on the right.'
