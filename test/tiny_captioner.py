"""Tiny captioners with random weights, of transformers' own classes, written as the hub has them."""

from pathlib import Path

from heavy import WhenUsed

torch = WhenUsed('torch')
transformers = WhenUsed('transformers')
WhenUsed('torchvision')

from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

MARKS = {
    'image_token': '<image>',
    'fake_image_token': '<fake_token_around_image>',
    'global_image_token': '<global-img>',
}
ENDS = {'unk_token': '<unk>', 'eos_token': '<end_of_utterance>', 'pad_token': '<pad>'}
SAID = ('User', ':', 'Assistant', 'Describe', 'the', 'image', 'in', 'one', 'sentence', '.')
ASKED = ('What', 'does', 'describe', '?')
ANSWERS = ('street', 'people', 'night')
WORDS = (*ENDS.values(), *MARKS.values(), *SAID, *ASKED, *ANSWERS)
TEMPLATE = (
    "{% for m in messages %}User:{% for c in m['content'] %}{{'<image>' if c['type'] == 'image' else c['text']}}"
    '{% endfor %}{% endfor %} Assistant:'
)


def words_of(**special: object) -> 'transformers.PreTrainedTokenizerFast':
    words = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token='<unk>'))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special, **ENDS)


def let_answer(head: 'torch.nn.Linear') -> None:
    """Whatever is seen, the answer is one of three words, again and again."""
    head.weight.data.zero_()
    head.weight.data[WORDS.index(ANSWERS[0]) :][: len(ANSWERS)] = torch.tensor([[1.0], [-1.0], [0.0]])


def write_smolvlm(folder: Path) -> None:
    tokenizer = words_of(additional_special_tokens=list(MARKS.values()))
    for name, mark in MARKS.items():
        setattr(tokenizer, name, mark)
        setattr(tokenizer, f'{name}_id', WORDS.index(mark))
    pixels = transformers.Idefics3ImageProcessor(size={'longest_edge': 64}, max_image_size={'longest_edge': 32})
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
    let_answer(network.lm_head)
    network.save_pretrained(folder)
    transformers.Idefics3Processor(pixels, tokenizer, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(folder)


def write_florence(folder: Path) -> None:
    image = MARKS['image_token']
    tokenizer = words_of(extra_special_tokens={'image_token': image}, bos_token='<unk>')
    pixels = transformers.CLIPImageProcessor(size={'height': 64, 'width': 64}, do_center_crop=False)
    # Four places of the image and one for all of it.
    pixels.image_seq_length = 5
    stages = {'patch_size': [7, 3], 'patch_stride': [8, 4], 'patch_padding': [3, 1], 'patch_prenorm': [False, True]}
    vision = {'depths': [1, 1], 'embed_dim': [8, 16], 'num_heads': [1, 2], 'num_groups': [1, 2], 'window_size': 4}
    ids = {f'{name}_token_id': WORDS.index(ENDS[f'{name}_token']) for name in ('pad', 'eos')}
    layers = {'encoder_layers': 1, 'decoder_layers': 1, 'encoder_ffn_dim': 16, 'decoder_ffn_dim': 16}
    heads = {'encoder_attention_heads': 2, 'decoder_attention_heads': 2}
    text = {'model_type': 'bart', 'd_model': 16, 'vocab_size': len(WORDS), **layers, **heads, **ids, 'bos_token_id': 0}
    config = transformers.Florence2Config(
        vision_config={**vision, **stages, 'projection_dim': 16},
        text_config={**text, 'decoder_start_token_id': ids['eos_token_id'], 'forced_eos_token_id': None},
        image_token_id=WORDS.index(image),
        **ids,
        bos_token_id=0,
        decoder_start_token_id=ids['eos_token_id'],
    )
    torch.manual_seed(0)
    network = transformers.Florence2ForConditionalGeneration(config)
    let_answer(network.lm_head)
    network.save_pretrained(folder)
    transformers.Florence2Processor(pixels, tokenizer).save_pretrained(folder)
