"""Stage ``clip``: a small CLIP of open_clip's own, so that texts of equal meaning lie together and others apart.

open_clip's loss is taken twice: between images and texts, as in CLIP, and between two wordings of the same facts,
with texts that differ in a single fact as hard negatives; a thousand made scenes would not teach that by images alone.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ldfusion_models.language.facts import Facts
from ldfusion_training.data.augment import LightConfig, change_light
from ldfusion_training.data.pairs import Image8
from ldfusion_training.language.facts import change_aspect, most_telling
from ldfusion_training.language.scenes import LabelledScene, facts_seen, read_scenes
from ldfusion_training.language.wording import SURFACES, every_word, one, reword
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import as_planes

ASPECTS = ('object', 'object', 'distance', 'side', 'light', 'weather')
# Tokens of a short text; most are, and long ones apart cost less than all at full length.
SHORT = 24


@dataclass(frozen=True)
class ClipDataConfig:
    """Which scenes, and how much of them is told.

    Attributes:
        folders: simulated data sets.
        prompts: part of the texts that are prompts, such as "people" or "road markings".
        mentioned: probability that light, weather or place is told.
        bare: part of the texts without distances, and of those without sides.
    """

    folders: tuple[str, ...] = ()
    prompts: float = 0.25
    mentioned: float = 0.6
    bare: float = 0.25


@dataclass(frozen=True)
class ClipNetworkConfig:
    """Sizes of the towers; they become open_clip's ``model_cfg``.

    Attributes:
        dim: of the embeddings.
        context: tokens of a text.
        text_width, text_heads, text_layers: of the text tower.
        image_size: height and width.
        patch, image_width, image_layers: of the image tower.
    """

    dim: int = 64
    context: int = 80
    text_width: int = 128
    text_heads: int = 4
    text_layers: int = 2
    image_size: tuple[int, int] = (96, 128)
    patch: int = 16
    image_width: int = 128
    image_layers: int = 3

    def model_cfg(self, vocabulary: int = 49408) -> dict[str, Any]:
        """As in ``open_clip_config.json``; ``vocabulary`` is the number of tokens, open_clip's own by default."""
        return {
            'embed_dim': self.dim,
            'vision_cfg': {
                'image_size': list(self.image_size),
                'patch_size': self.patch,
                'width': self.image_width,
                'layers': self.image_layers,
                'head_width': 32,
            },
            'text_cfg': {
                'context_length': self.context,
                'vocab_size': vocabulary,
                'width': self.text_width,
                'heads': self.text_heads,
                'layers': self.text_layers,
            },
        }


@dataclass(frozen=True)
class ClipStageConfig:
    """Settings of the stage; ``text_weight`` is of the loss between wordings, that between image and text has 1."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: ClipDataConfig = field(default_factory=ClipDataConfig)
    network: ClipNetworkConfig = field(default_factory=ClipNetworkConfig)
    text_weight: float = 1.0


CONFIG = ClipStageConfig


class ClipStage(Stage):
    """Contrastive learning of images and texts."""

    def __init__(self, config: ClipStageConfig) -> None:
        import open_clip

        super().__init__()
        self.settings = dataclasses.asdict(config)
        self.config = config
        self._tokenize = open_clip.SimpleTokenizer(context_length=config.network.context)
        self.tokens = training_tokens(self._tokenize)
        # Trained with the tokens that it meets; ``release`` puts them into open_clip's whole vocabulary.
        self.text = open_clip.CLIP(**config.network.model_cfg(len(self.tokens)))
        self.text.register_buffer('tokens', torch.from_numpy(self.tokens))
        self.parts = {'text': self.text}
        self._loss = open_clip.ClipLoss()
        self._scenes = read_scenes(config.data.folders)
        self._images = [[self._small(scene.image(thermal)) for thermal in (False, True)] for scene in self._scenes]

    def sample(self, generator: np.random.Generator) -> Sample:
        """``image`` (3, h, w) in [-1, 1]; ``texts`` (4, context): two wordings of its facts, two of changed facts."""
        index = int(generator.integers(len(self._scenes)))
        thermal, mirrored = generator.random(2) < (0.4, 0.5)
        scene = self._scenes[index]
        facts = self._draw_facts(generator, facts_seen(scene, bool(thermal)), scene)
        image = self._images[index][int(thermal)]
        if mirrored:
            facts, image = mirror(facts), np.ascontiguousarray(image[:, ::-1])
        other = facts
        for aspect in generator.permutation(ASPECTS):
            other = change_aspect(generator, facts, str(aspect))
            if other != facts:
                break
        texts = [reword(generator, each) for each in (facts, facts, other, other)]
        shown = change_light(generator, image, LightConfig())
        return {'image': as_planes(shown) * 2 - 1, 'texts': np.stack([self._numbers(text) for text in texts])}

    def _small(self, image: Image8) -> Image8:
        height, width = self.config.network.image_size
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def _draw_facts(self, random: np.random.Generator, facts: Facts, scene: LabelledScene) -> Facts:
        """A part of the facts."""
        data = self.config.data
        if random.random() < data.prompts:
            return self._prompt(random, facts, scene)
        all_told = random.random() < 0.3
        place, light, weather = (
            word if all_told or random.random() < data.mentioned else ''
            for word in (facts.place, facts.light, facts.weather)
        )
        if light and facts.indoors:
            # Rooms have other words for light.
            place = facts.place
        mentions = most_telling(facts.mentions)
        if random.random() < 0.5 and mentions:
            mentions = [mentions[row] for row in sorted(random.permutation(len(mentions))[: random.integers(1, 4)])]
        if random.random() < data.bare:
            mentions = [dataclasses.replace(each, distance_m=0.0) for each in mentions]
        if random.random() < data.bare:
            mentions = [dataclasses.replace(each, side='') for each in mentions]
        if not mentions and not (place or light or weather):
            place = facts.place
        return Facts(place, light, weather, tuple(mentions))

    def _prompt(self, random: np.random.Generator, facts: Facts, scene: LabelledScene) -> Facts:
        present = sorted({each.name for each in facts.mentions}) + list(SURFACES[scene.place])
        # What prompts are about most.
        topics = [one(random, present) if 'person' not in present or random.random() < 0.6 else 'person']
        if random.random() < 0.15:
            topics.append(one(random, present))
        weather = facts.weather if facts.weather != 'clear' and random.random() < 0.4 else ''
        light = facts.light if not facts.indoors and random.random() < 0.1 else ''
        return Facts(light=light, weather=weather, topics=tuple(dict.fromkeys(topics)))

    def _numbers(self, text: str) -> npt.NDArray[np.int64]:
        """The text's tokens (context,) as places in ``tokens``."""
        numbers: npt.NDArray[np.int64] = np.searchsorted(self.tokens, self._tokenize([text])[0].numpy())
        return numbers

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: image (image against text), text (wording against wording)."""
        scale = self.text.logit_scale.clamp(max=np.log(100)).exp()
        samples, kinds, context = batch['texts'].shape
        texts = self._encode(batch['texts'].reshape(-1, context)).reshape(samples, kinds, -1)
        images = self.text.encode_image(batch['image'], normalize=True).float()
        first = torch.cat([texts[:, 0], texts[:, 2]])
        second = torch.cat([texts[:, 1], texts[:, 3]])
        terms = {'image': self._loss(images, texts[:, 0], scale), 'text': self._loss(first, second, scale)}
        return {'loss': terms['image'] + self.config.text_weight * terms['text'], **terms}

    def _encode(self, tokens: Tensor) -> Tensor:
        """Embeddings of ``tokens`` (N, context) by open_clip's own modules, without the padding of short texts."""
        lengths = (tokens > 0).sum(dim=1)
        embeddings = torch.empty((len(tokens), self.config.network.dim), device=tokens.device)
        for rows in (lengths <= SHORT, lengths > SHORT):
            if rows.any():
                end = int(lengths[rows].max())
                chosen = tokens[rows, :end]
                x = self.text.token_embedding(chosen) + self.text.positional_embedding[:end]
                x = self.text.ln_final(self.text.transformer(x, attn_mask=self.text.attn_mask[:end, :end]))
                last = x[torch.arange(len(x)), chosen.argmax(dim=1)]
                embeddings[rows] = F.normalize((last @ self.text.text_projection).float(), dim=-1)
        return embeddings

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Similarity of 24 pairs of wordings (rows and columns), each followed by its changed neighbour."""
        generator = np.random.default_rng(0)
        tokens = torch.from_numpy(np.stack([self.sample(generator)['texts'] for _ in range(12)]))
        texts = self._encode(tokens.reshape(48, -1)).reshape(12, 4, -1)
        rows, columns = texts[:, [0, 2]].reshape(24, -1), texts[:, [1, 3]].reshape(24, -1)
        similarity = (rows @ columns.T).clamp(0, 1).numpy()
        big = cv2.resize((similarity * 255).astype(np.uint8), (480, 480), interpolation=cv2.INTER_NEAREST)
        return np.asarray(cv2.applyColorMap(big, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)


def training_tokens(tokenize: Any) -> npt.NDArray[np.int64]:
    """The tokens of open_clip's vocabulary that training texts are made of, sorted; the first is the padding."""
    ends = tokenize.all_special_ids
    return np.unique([0, *tokenize.encode(every_word()), *ends])


def mirror(facts: Facts) -> Facts:
    """The facts of the mirrored image."""
    sides = {'left': 'right', 'right': 'left'}
    mentions = tuple(dataclasses.replace(each, side=sides.get(each.side, each.side)) for each in facts.mentions)
    return dataclasses.replace(facts, mentions=mentions)


def create(config: ClipStageConfig) -> Stage:
    """The stage with fresh weights."""
    torch.manual_seed(config.trainer.seed)
    return ClipStage(config)
