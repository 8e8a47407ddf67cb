"""Settings of the captioner and the words it knows; needs no PyTorch."""

from dataclasses import dataclass

MODALITIES = ('visible', 'thermal')
PADDING, START, END = 0, 1, 2
SPECIAL = ('<padding>', '<start>', '<end>')


@dataclass(frozen=True)
class CaptionerConfig:
    """Size of the captioner and the words it knows.

    Attributes:
        width, height: images are resized to this many pixels, multiples of 16.
        channels: of the fused features and of the decoder.
        heads, layers: of the decoder.
        mixers: residual blocks over the fused features.
        depth_bins: steps of log depth that the depth encoder tells apart.
        nearest, farthest: range of depth in metres; beyond and unknown are the last bin.
        longest: words of a caption, at most.
        words: vocabulary without the special words.
    """

    width: int = 192
    height: int = 144
    channels: int = 128
    heads: int = 4
    layers: int = 2
    mixers: int = 3
    depth_bins: int = 24
    nearest: float = 0.7
    farthest: float = 80.0
    longest: int = 64
    words: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words, special ones first; a word's number is its place here."""
        return (*SPECIAL, *self.words)
