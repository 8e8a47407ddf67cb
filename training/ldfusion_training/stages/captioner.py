"""Stage ``captioner``: images with depth learn to be described, in captions of the fixed form.

The image encoder stays as the visible depth branch has it, so its features are taken once of a few views of each
scene, and a step costs little. Depth is the truth with errors like those of a depth network, or what the branches say.
Of real pairs without labels only the opening words are learned, as far as they are known.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import load_part, read_manifest
from ldfusion_models.language.captioner import sentence
from ldfusion_models.networks.caption_words import END, MODALITIES, PADDING, SPECIAL, START, CaptionerConfig
from ldfusion_models.networks.captioner import CaptionNetwork
from ldfusion_models.networks.depth import DepthNetwork
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.data.augment import LightConfig, View, change_light, random_view
from ldfusion_training.language.captions import DISTANCES, opening_tokens, tokens_of, vocabulary
from ldfusion_training.language.cells import classes_in_cells
from ldfusion_training.language.facts import CLASSES, MOVING, Facts, most_telling
from ldfusion_training.language.real_scenes import KnownPlace, read_kitti_scenes, read_known_places
from ldfusion_training.language.scenes import HEIGHT, WIDTH, LabelledScene, facts_seen, read_scenes
from ldfusion_training.runs.starting_weights import load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import as_planes, draw_probabilities


@dataclass(frozen=True)
class CaptionDataConfig:
    """Which scenes, and how they are varied.

    Attributes:
        folders: simulated data sets.
        every: one in so many frames of each folder is used, empty for all; neighbours in a drive are alike.
        kitti: folders of visible images with KITTI's object labels (``ldfusion_training.language.real_scenes``).
        places: folders of real pairs of which only the place is known, and perhaps light and weather.
        kitti_part, places_part: part of the samples that come from these.
        views: of each image of each scene; the first is the whole image.
        zoom: output pixels per source pixel of the other views, smallest and largest.
        estimated: part of the samples whose depth is a branch's estimate.
        weights: folder of weights whose depth branches estimate and whose visible branch lends its encoder; empty for
            those that came with the package.
        scale_error, cell_error: deviation of the logarithm of depth, of the whole image and of patches, where the
            truth is used.
    """

    folders: tuple[str, ...] = ()
    every: tuple[int, ...] = ()
    kitti: tuple[str, ...] = ()
    places: tuple[KnownPlace, ...] = ()
    kitti_part: float = 0.0
    places_part: float = 0.0
    views: int = 2
    zoom: tuple[float, float] = (0.6, 1.0)
    estimated: float = 0.6
    weights: str = ''
    scale_error: float = 0.08
    cell_error: float = 0.05

    def __post_init__(self) -> None:
        """Raises InputError for data that would not be drawn, or parts without data."""
        for name in ('kitti', 'places'):
            if bool(getattr(self, name)) != (getattr(self, f'{name}_part') > 0):
                raise InputError(f'data.{name} and data.{name}_part: give both or neither')


@dataclass(frozen=True)
class CaptionLossConfig:
    """Weights of the terms.

    Attributes:
        cells: which classes each cell of the grid holds, as a further task; words alone say little about where.
        neighbours: deviation, in log distance, of the distances that count as nearly right.
    """

    cells: float = 0.5
    neighbours: float = 0.12


@dataclass(frozen=True)
class CaptionerStageConfig:
    """Settings of the stage; the network's words are those of the captions.

    Attributes:
        initial_weights: of the captioner with its image encoder (see ``runs/starting_weights.py``); empty for
            the visible depth branch's encoder and fresh weights elsewhere.
    """

    initial_weights: str = ''
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: CaptionDataConfig = field(default_factory=CaptionDataConfig)
    loss: CaptionLossConfig = field(default_factory=CaptionLossConfig)
    network: CaptionerConfig = field(default_factory=CaptionerConfig)


CONFIG = CaptionerStageConfig


@dataclass(frozen=True)
class CaptionItem:
    """One view: features, both depths, words and cells, for one modality.

    Attributes:
        fine, coarse: features of the image encoder, float16.
        truth, estimate: (height, width) metres, NaN unknown, float16.
        tokens: numbers of the caption's words, with start and end, padded.
        learned: whether each of them is to be learned.
        cells: (classes, h, w), whether a cell holds the class.
        modality: 0 visible, 1 thermal.
        labelled: (classes, 1, 1), whether it is known where the class is.
    """

    fine: npt.NDArray[np.float16]
    coarse: npt.NDArray[np.float16]
    truth: npt.NDArray[np.float16]
    estimate: npt.NDArray[np.float16]
    tokens: npt.NDArray[np.int64]
    learned: npt.NDArray[np.bool_]
    cells: npt.NDArray[np.bool_]
    modality: int
    labelled: npt.NDArray[np.bool_]


class CaptionerStage(Stage):
    """Cross-entropy of the words, with the cells' classes as a second task."""

    def __init__(self, config: CaptionerStageConfig) -> None:
        super().__init__()
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, words=vocabulary()))
        self.settings = dataclasses.asdict(config)
        self.config = config
        self.captioner = CaptionNetwork(config.network)
        self.cells = nn.Conv2d(config.network.channels, len(CLASSES), 1)
        self.parts = {'captioner': self.captioner, 'cells': self.cells}
        self._weights = Path(config.data.weights) if config.data.weights else None
        _lend_encoder(self.captioner, self._weights)
        if config.initial_weights:
            load_weights(self.captioner, 'captioner', config.initial_weights)
        self._numbers = {word: number for number, word in enumerate(config.network.vocabulary)}
        self.register_buffer('targets', _soft_targets(config), persistent=False)
        self._items, self._probability = self._all_items()

    def train(self, mode: bool = True) -> 'CaptionerStage':
        """The lent encoder keeps its statistics."""
        super().train(mode)
        self.captioner.image_encoder.eval()
        return self

    def sample(self, generator: np.random.Generator) -> Sample:
        """One view: ``fine``, ``coarse``, ``depth`` (1, height, width), and the other fields of an item as they are."""
        item = self._items[int(generator.choice(len(self._items), p=self._probability))]
        estimated = generator.random() < self.config.data.estimated
        depth = item.estimate.astype(np.float32) if estimated else self._with_errors(generator, item)
        kept = {name: np.asarray(value) for name, value in vars(item).items() if name not in ('truth', 'estimate')}
        features = {'fine': item.fine.astype(np.float32), 'coarse': item.coarse.astype(np.float32)}
        return {**kept, **features, 'depth': depth[None]}

    def _with_errors(self, generator: np.random.Generator, item: CaptionItem) -> npt.NDArray[np.float32]:
        data = self.config.data
        height, width = item.truth.shape
        patches = generator.normal(0.0, data.cell_error, (height // 16, width // 16)).repeat(16, 0).repeat(16, 1)
        error = np.exp(generator.normal(0.0, data.scale_error) + patches)
        return (item.truth * error).astype(np.float32)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: tokens, cells."""
        scene = self.captioner.scene((batch['fine'], batch['coarse']), batch['depth'], batch['modality'])
        scene_keys = self.captioner.decoder.scene_keys_and_values(self.captioner.memory(scene))
        tokens = batch['tokens']
        longest = int((tokens != PADDING).sum(dim=1).max())
        logits = self.captioner.decoder(tokens[:, : longest - 1], scene_keys).float()
        wanted = tokens[:, 1:longest]
        assert isinstance(self.targets, Tensor)
        missed = -(self.targets[wanted] * logits.log_softmax(dim=-1)).sum(dim=-1)
        counted = batch['learned'][:, 1:longest]
        present = batch['cells'].float()
        # Rare classes would drown among empty cells.
        weight = (1.0 + 4.0 * present) * batch['labelled']
        cells = F.binary_cross_entropy_with_logits(self.cells(scene).float(), present, weight=weight)
        terms = {'tokens': (missed * counted).sum() / counted.sum(), 'cells': cells * 10.0}
        return {'loss': terms['tokens'] + self.config.loss.cells * terms['cells'], **terms}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Eight training views' depth with the caption that is wanted and the one that is written."""
        import cv2

        rows = []
        tokens = self.config.network.vocabulary
        for item in self._items[:: max(1, len(self._items) // 8)][:8]:
            features = torch.from_numpy(item.fine).float()[None], torch.from_numpy(item.coarse).float()[None]
            written = self.captioner.write_features(
                features, torch.from_numpy(item.truth).float()[None, None], torch.tensor([item.modality])
            )
            wanted = [int(number) for number in item.tokens if number >= len(SPECIAL)]
            near = np.nan_to_num(item.truth.astype(np.float32), nan=80.0).clip(1, 80)
            row = np.full((near.shape[0], 1000, 3), 255, np.uint8)
            row[:, : near.shape[1]] = (255 * (1 - np.log(near) / np.log(80)))[..., None]
            for line, numbers in enumerate((wanted, written)):
                text = sentence([tokens[number] for number in numbers])
                for part in range(0, len(text), 95):
                    place = (near.shape[1] + 8, 16 + 68 * line + 15 * (part // 95))
                    cv2.putText(row, text[part : part + 95], place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0))
            rows.append(row)
        return np.vstack(rows)

    def _all_items(self) -> tuple[list[CaptionItem], npt.NDArray[np.float64]]:
        """Views of all scenes, and how often each is drawn."""
        data = self.config.data
        kinds = [
            (read_scenes(data.folders, data.every), 1.0 - data.kitti_part - data.places_part),
            (read_kitti_scenes(data.kitti), data.kitti_part),
            ([scene for known in data.places for scene in read_known_places(known)], data.places_part),
        ]
        estimators = {name == 'thermal': DepthEstimator.load(name, self._weights) for name in MODALITIES}
        groups = [(self._items_of(scenes, estimators), part) for scenes, part in kinds if scenes]
        items = [item for group, _ in groups for item in group]
        return items, draw_probabilities([len(group) for group, _ in groups], [part for _, part in groups])

    def _items_of(
        self, scenes: Sequence[LabelledScene], estimators: Mapping[bool, DepthEstimator]
    ) -> list[CaptionItem]:
        items = []
        for number, scene in enumerate(scenes):
            for thermal, estimator in estimators.items():
                if thermal and not scene.has_thermal:
                    continue
                generator = np.random.default_rng([number, int(thermal)])
                image = scene.image(thermal)
                estimate = estimator(image if not thermal else image[..., 0], scene.focal)
                items += [self._item(generator, scene, thermal, view, estimate) for view in self._views(generator)]
        return items

    def _views(self, generator: np.random.Generator) -> list[View]:
        size = (self.config.network.width, self.config.network.height)
        whole = View(0, 0, WIDTH, HEIGHT, *size, mirrored=bool(generator.random() < 0.5))
        others = [
            random_view(generator, (WIDTH, HEIGHT), size, self.config.data.zoom)
            for _ in range(self.config.data.views - 1)
        ]
        return [whole, *others]

    @torch.no_grad()
    def _item(
        self,
        generator: np.random.Generator,
        scene: LabelledScene,
        thermal: bool,
        view: View,
        estimate: npt.NDArray[np.float32],
    ) -> CaptionItem:
        instances = view.of_instances(scene.instances)
        facts = facts_seen(scene, thermal, instances)
        facts = dataclasses.replace(facts, mentions=tuple(most_telling(facts.mentions)))
        tokens, learned = self._encode(*_tokens_to_learn(generator, scene, facts, thermal))
        # Where the truth is not known, the branch's estimate is all there is.
        truth = scene.depth if np.isfinite(scene.depth).any() else estimate
        image = change_light(
            generator, view.of_image(scene.image(thermal)), LightConfig(saturation=0.0 if thermal else 0.2)
        )
        fine, coarse = self.captioner.image_features(torch.from_numpy(as_planes(image))[None])
        return CaptionItem(
            fine[0].half().numpy(),
            coarse[0].half().numpy(),
            view.of_depth(truth).astype(np.float16),
            view.of_depth(estimate).astype(np.float16),
            tokens,
            learned,
            _cells(scene, thermal, instances),
            int(thermal),
            _labelled_classes(scene),
        )

    def _encode(
        self, tokens: Sequence[str], known: Sequence[bool]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Words as numbers with start, end and padding, and which of them are to be learned."""
        longest = self.config.network.longest
        numbers = [START, *[self._numbers[word] for word in tokens][:longest], END]
        padded = np.pad(np.array(numbers, np.int64), (0, longest + 2 - len(numbers)), constant_values=PADDING)
        learned = np.zeros(padded.shape, bool)
        learned[1 : len(numbers)] = known[: len(numbers) - 1]
        return padded, learned


def create(config: CaptionerStageConfig) -> Stage:
    """The stage with the visible depth branch's image encoder and fresh weights elsewhere."""
    torch.manual_seed(config.trainer.seed)
    return CaptionerStage(config)


def _lend_encoder(network: CaptionNetwork, weights: Path | None) -> None:
    manifest = read_manifest(weights)
    branch = DepthNetwork(manifest.frame_config().visible_depth)
    load_part(branch, manifest, 'visible_depth')
    lent = branch.encoder.state_dict()
    network.image_encoder.load_state_dict({name: lent[name] for name in network.image_encoder.state_dict()})
    network.image_encoder.requires_grad_(False)


def _soft_targets(config: CaptionerStageConfig) -> Tensor:
    """(words, words): each word counts for itself, distances a little for their neighbours as well."""
    tokens = config.network.vocabulary
    targets = torch.eye(len(tokens))
    places = torch.tensor([tokens.index(str(step)) for step in DISTANCES])
    logs = torch.log(torch.tensor(DISTANCES, dtype=torch.float32))
    shares = torch.exp(-((logs[:, None] - logs) ** 2) / (2 * config.loss.neighbours**2))
    targets[places[:, None], places] = shares / shares.sum(dim=1, keepdim=True)
    return targets


def _tokens_to_learn(
    generator: np.random.Generator, scene: LabelledScene, facts: Facts, thermal: bool
) -> tuple[list[str], list[bool]]:
    """The words of a caption, and for each and for the end whether it is known."""
    if scene.known == 'place' or (scene.known == 'moving' and not facts.mentions):
        tokens, known = opening_tokens(generator, facts, thermal)
        return tokens, [*known, False]
    tokens = tokens_of(facts, thermal)
    # What follows the people and vehicles is not known, if only these are.
    return tokens, [*[True] * len(tokens), scene.known == 'all']


def _labelled_classes(scene: LabelledScene) -> npt.NDArray[np.bool_]:
    """(classes, 1, 1): whether the scene says where things of the class are."""
    names = {'all': CLASSES, 'moving': MOVING, 'place': ()}[scene.known]
    return np.isin(CLASSES, names)[:, None, None]


def _cells(scene: LabelledScene, thermal: bool, instances: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """(classes, h, w): which classes of what can be seen each cell shows."""
    numbers = np.full(max(int(instances.max()), *(each.instance for each in scene.objects), 0) + 1, len(CLASSES))
    for each in scene.objects:
        if each.seen_thermal if thermal else each.seen_visible:
            numbers[each.instance] = CLASSES.index(each.name)
    return classes_in_cells(numbers.astype(np.uint8)[instances], len(CLASSES))
