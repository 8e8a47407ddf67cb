"""open_clip's tokenizer as a file of the library ``tokenizers``: robots then need no open_clip to read texts."""

from typing import Any

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Parts

# As in CLIP's: contractions, runs of letters, single digits, runs of other signs.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def as_tokenizer(simple: Any) -> Tokenizer:
    """The same numbers for a text as open_clip's ``SimpleTokenizer`` gives, without those that begin and end it.

    Of whole words: typographic quotes and HTML entities are not repaired as ``ftfy`` does.
    """
    merges = sorted(simple.bpe_ranks, key=simple.bpe_ranks.get)
    tokenizer = Tokenizer(BPE(dict(simple.encoder), merges, end_of_word_suffix='</w>', unk_token='<end_of_text>'))
    tokenizer.normalizer = Normalizers([NFC(), Replace(Regex(r'\s+'), ' '), Lowercase()])
    tokenizer.pre_tokenizer = Parts([Split(Regex(PATTERN), 'removed', invert=True), ByteLevel(add_prefix_space=False)])
    return tokenizer
