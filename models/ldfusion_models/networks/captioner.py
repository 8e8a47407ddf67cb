"""The captioner's network: image encoder and depth encoder, fused on one grid, and a transformer decoder."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.networks.caption_words import END, MODALITIES, PADDING, START, CaptionerConfig
from ldfusion_models.networks.depth import Encoder

# Channels of the image encoder at 1/8 and 1/16, and its blocks up to there.
FINE, COARSE = 40, 112
BLOCKS = 11


class CaptionNetwork(nn.Module):
    """Writes words from an image, its depth and its modality."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        wide = config.channels
        # EfficientNet-Lite0 up to 1/16: what lies deeper is too coarse for people far away.
        self.image_encoder = Encoder(BLOCKS)
        self.depth_encoder = DepthEncoder(config)
        self.fine = nn.Conv2d(FINE, wide, 1)
        self.coarse = nn.Conv2d(COARSE, wide, 1)
        self.place = nn.Parameter(torch.randn(1, wide, config.height // 8, config.width // 8) * 0.1)
        self.modality = nn.Embedding(len(MODALITIES), wide)
        self.mixers = nn.ModuleList(Mixer(wide) for _ in range(config.mixers))
        self.norm = nn.LayerNorm(wide)
        self.decoder = Decoder(config)

    def image_features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features at 1/8 and 1/16 of ``image`` (B, 3, height, width) in [0, 1]."""
        features = self.image_encoder(image * 2.0 - 1.0)
        fine: Tensor = features[2]
        coarse: Tensor = features[3]
        return fine, coarse

    def scene(self, features: tuple[Tensor, Tensor], depth: Tensor, modality: Tensor) -> Tensor:
        """Fused features (B, channels, h, w) on the grid of 1/8.

        Args:
            features: of ``image_features``.
            depth: (B, 1, height, width) metres, NaN where unknown.
            modality: (B,) places in ``MODALITIES``.
        """
        fine, coarse = features
        x = self.fine(fine) + F.interpolate(self.coarse(coarse), scale_factor=2.0, mode='bilinear')
        x = x + self.depth_encoder(depth) + self.place + self.modality(modality)[:, :, None, None]
        for mixer in self.mixers:
            x = mixer(x)
        mixed: Tensor = x
        return mixed

    def memory(self, scene: Tensor) -> Tensor:
        """What the decoder looks at, (B, 1 + h * w, channels): the mean of the scene, then its cells."""
        cells = scene.flatten(2).transpose(1, 2)
        normed: Tensor = self.norm(torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1))
        return normed

    @torch.no_grad()
    def write(self, image: Tensor, depth: Tensor, modality: Tensor) -> list[int]:
        """The likeliest words, one after the other, of one image (1, 3, height, width) with its depth."""
        return self.write_features(self.image_features(image), depth, modality)

    @torch.no_grad()
    def write_features(self, features: tuple[Tensor, Tensor], depth: Tensor, modality: Tensor) -> list[int]:
        """As ``write``, from the features of the image."""
        memory = self.memory(self.scene(features, depth, modality))
        scene = self.decoder.scene_keys_and_values(memory)
        words = [START]
        while len(words) <= self.config.longest and (len(words) == 1 or words[-1] != END):
            logits = self.decoder(torch.tensor([words]), scene)[0, -1]
            logits[[PADDING, START]] = -math.inf
            words.append(int(logits.argmax()))
        return [word for word in words[1:] if word != END]


class DepthEncoder(nn.Module):
    """Depth on the grid of 1/8: which distances each cell holds, and the shape of the depth map."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.nearest, self.farthest = math.log(config.nearest), math.log(config.farthest)
        self.bins = config.depth_bins
        self.histogram = nn.Conv2d(self.bins, config.channels, 1)
        self.shape = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, config.channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, depth: Tensor) -> Tensor:
        """(B, 1, H, W) metres to (B, channels, H / 8, W / 8)."""
        known = torch.where(torch.isfinite(depth), depth, math.exp(self.farthest)).clamp(min=1e-3)
        level = ((known.log() - self.nearest) / (self.farthest - self.nearest)).clamp(0.0, 1.0)
        halved = level[:, :, ::2, ::2]
        # Each pixel counts for the two bins about it, by how near it is to each.
        centres = torch.arange(self.bins, device=depth.device).view(1, -1, 1, 1)
        shares = (1.0 - (halved * (self.bins - 1) - centres).abs()).clamp(min=0.0)
        encoded: Tensor = self.histogram(F.avg_pool2d(shares, 4)) + self.shape(halved)
        return encoded


class Mixer(nn.Module):
    """Residual depthwise block (as in ConvNeXt): a cell learns of its neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(8, channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.join = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.join(F.gelu(self.widen(self.norm(self.spread(x)))))
        return mixed


class Decoder(nn.Module):
    """Transformer decoder (pre-norm) over words that looks at a memory."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        wide, count = config.channels, len(config.vocabulary)
        self.words = nn.Embedding(count, wide, padding_idx=PADDING)
        self.order = nn.Parameter(torch.randn(1, config.longest + 1, wide) * 0.02)
        self.layers = nn.ModuleList(DecoderLayer(wide, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(wide)
        self.head = nn.Linear(wide, count)

    def scene_keys_and_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of ``memory`` (B, M, channels) for each layer."""
        return [layer.keys_and_values(memory) for layer in self.layers if isinstance(layer, DecoderLayer)]

    def forward(self, words: Tensor, scene: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Logits (B, L, words) of the words that follow each of ``words`` (B, L)."""
        x = self.words(words) + self.order[:, : words.shape[1]]
        for layer, memory in zip(self.layers, scene, strict=True):
            x = layer(x, memory)
        logits: Tensor = self.head(self.norm(x))
        return logits


class DecoderLayer(nn.Module):
    """Attention to the words so far, attention to the scene, and a feed-forward network."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.self_attention = Attention(channels, heads)
        self.cross_attention = Attention(channels, heads)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What this layer looks at."""
        return self.cross_attention.keys_and_values(memory)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        normed = self.norms[0](x)
        x = x + self.self_attention(normed, self.self_attention.keys_and_values(normed), causal=True)
        x = x + self.cross_attention(self.norms[1](x), memory)
        mixed: Tensor = x + self.mlp(self.norms[2](x))
        return mixed


class Attention(nn.Module):
    """Multi-head attention whose keys and values may be kept from one word to the next."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.output = nn.Linear(channels, channels)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Of ``source`` (B, M, channels), each (B, heads, M, channels / heads)."""
        keys, values = self.key_value(source).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(self, x: Tensor, source: tuple[Tensor, Tensor], causal: bool = False) -> Tensor:
        """Attend from ``x`` (B, L, channels) to the keys and values of ``source``."""
        attended = F.scaled_dot_product_attention(self._split(self.query(x)), *source, is_causal=causal)
        out: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, length, channels = x.shape
        return x.reshape(batch, length, self.heads, channels // self.heads).transpose(1, 2)
