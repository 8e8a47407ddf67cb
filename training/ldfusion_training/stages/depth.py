"""Stage ``depth``: one branch learns metric depth from visible or thermal images with the SiLog loss (eq. 1)."""

import dataclasses
import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_models.networks.depth import DepthConfig, DepthNetwork
from ldfusion_models.networks.published_depth import PublishedDepth
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.data.augment import (
    LightConfig,
    Turn,
    View,
    change_light,
    exchange_look,
    low_frequencies,
    random_view,
    repaint,
)
from ldfusion_training.data.depth import DepthSource, Modality
from ldfusion_training.data.depth_sets import open_depth
from ldfusion_training.data.masks import GROUND, SKY, MaskedImage, MaskedSetConfig, Roles, feet, read_masked
from ldfusion_training.data.pairs import Faults, Pair, as_thermal8, images_by_name, open_pairs, read_each
from ldfusion_training.data.places import folder_and_pattern
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.data.stereo import RightImages, open_right_images
from ldfusion_training.losses import apart_from_ground, log_gradient, silog, unevenness
from ldfusion_training.runs.starting_weights import RELEASED, load_weights
from ldfusion_training.runs.trainer import Sample, Stage, TrainerConfig
from ldfusion_training.stages.pairs_in_memory import as_planes, draw_probabilities


@dataclass(frozen=True)
class DepthDataConfig:
    """Which images with depth, and how they are varied.

    Attributes:
        folders: data sets, any layout of ``ldfusion_training.data.depth``; ``FOLDER:PATTERN`` takes the samples whose
            names match.
        right: folders of right images, from which stereo tells the depth that the laser leaves open (``data.stereo``).
        weights: how often each of ``folders``, ``luminance``, ``taught`` and ``masked`` is drawn, in this order,
            relative; empty for evenly by images.
        held_out: patterns of sample names that are never trained on, but measured on.
        luminance: data sets whose visible images the thermal branch reads as luminance: measured depth for what a
            fused image looks like by day. The visible branch has none.
        crop: width and height of the training crops, multiples of the network's stride.
        zoom: output pixels per source pixel, smallest and largest.
        light: how far light and noise are changed.
        fused: part of the samples of aligned pairs that show the fused image instead of the branch's own, so that the
            branch can read fused images.
        fusion: weights whose fusion makes them, ``released`` or a folder of released weights.
        repainted: part of the simulated samples whose things get other colours (visible branch).
        looks: folders of any images, whose light and colours samples take over (visible branch).
        relooked: part of the samples that do.
        turned: largest pitch and roll in degrees by which a camera is turned; half of the samples stay as they are.
        taught: data sets of aligned pairs without depth; their truth is what the trained visible branch says of the
            visible image, in canonical depth, where it is certain and the image is not dark.
        teacher: weights of the visible branch, as ``initial_weights``, or a published network (a local folder, or
            OWNER/NAME), whose metres are taken as they are: these pairs have no camera.
        teacher_variance: largest variance of the teacher's log depth that is believed.
        teacher_darkest: pairs whose visible image has a lower mean (0 to 255) teach nothing.
        masked: labelled images without depth, for sky, ground and things that stand on it.
        faults: ``refuse`` or ``skip`` samples with depth whose files are wrong.
    """

    folders: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    held_out: tuple[str, ...] = ()
    luminance: tuple[str, ...] = ()
    crop: tuple[int, int] = (384, 256)
    zoom: tuple[float, float] = (0.7, 1.4)
    light: LightConfig = field(default_factory=LightConfig)
    fused: float = 0.3
    fusion: str = RELEASED
    repainted: float = 0.0
    looks: tuple[str, ...] = ()
    relooked: float = 0.0
    turned: float = 0.0
    taught: tuple[str, ...] = ()
    teacher: str = RELEASED
    teacher_variance: float = 0.05
    teacher_darkest: float = 50.0
    masked: tuple[MaskedSetConfig, ...] = ()
    faults: Faults = 'refuse'


@dataclass(frozen=True)
class DepthLossConfig:
    """Weights of the terms.

    Attributes:
        variance_weight: of eq. 1; 1 as printed, less lets the scale count (ZoeDepth: 0.85).
        gradient: steps of log depth between neighbours, where both are known.
        sky: where simulated truth or a label tells the sky, depth beyond ``sky_depth`` canonical metres.
        ground: labelled ground is a plane.
        standing: labelled things are as far as the ground at their feet.
        certainty: the bins' variance against the squared error.
    """

    variance_weight: float = 0.85
    gradient: float = 0.5
    sky: float = 0.1
    sky_depth: float = 120.0
    ground: float = 0.3
    standing: float = 0.3
    certainty: float = 0.02


@dataclass(frozen=True)
class DepthStageConfig:
    """Settings of the stage.

    Attributes:
        branch: ``visible`` or ``thermal``.
        initial_weights: what training starts from, as ``ldfusion_training.runs.starting_weights`` takes it, or the
            checkpoint of either branch; empty for ImageNet's in the encoder.
        frozen_statistics: batch normalisation keeps the statistics it starts with. Without, it learns from batches of
            mixed data sets, which no image has at run time.
        frozen_blocks: so many of the encoder's first blocks, and what is before them, stay as they are. They cost most.
    """

    branch: str = 'visible'
    initial_weights: str = ''
    frozen_statistics: bool = False
    frozen_blocks: int = 0
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    data: DepthDataConfig = field(default_factory=DepthDataConfig)
    loss: DepthLossConfig = field(default_factory=DepthLossConfig)
    network: DepthConfig = field(default_factory=DepthConfig)


CONFIG = DepthStageConfig
# Waves over an image's width and height that make up its look.
LOOK = 8
# Visible (H, W, 3) and thermal (H, W) to RGB (H, W, 3), all uint8; None where no fused images are shown.
Fusion = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] | None


@dataclass(frozen=True)
class DepthItem:
    """A decoded training image.

    Attributes:
        image: (H, W, 3 or 1) uint8.
        fused: of an aligned pair, in the same channels, or None.
        depth: (H, W) float32 metres, NaN where unknown.
        camera: intrinsics.
        open_sky: whether NaN means that nothing is there.
        instances: (H, W) numbers of the things that a simulated visible image shows, or None.
        roles: (H, W) what each pixel of a labelled image is for depth (``data.masks``), or None.
    """

    image: npt.NDArray[np.uint8]
    fused: npt.NDArray[np.uint8] | None
    depth: npt.NDArray[np.float32]
    camera: Intrinsics
    open_sky: bool
    instances: npt.NDArray[np.uint16] | None = None
    roles: Roles | None = None


class DepthStage(Stage):
    """SiLog on canonical depth, with terms for edges, certainty, and what labels tell."""

    def __init__(self, config: DepthStageConfig) -> None:
        super().__init__()
        if config.branch not in ('visible', 'thermal'):
            raise InputError(f'branch {config.branch!r} is unknown; choose visible or thermal')
        self.settings = dataclasses.asdict(config)
        self.config = config
        self.branch = self._network()
        self.parts = {f'{config.branch}_depth': self.branch}
        modality: Modality = 'visible' if config.branch == 'visible' else 'thermal'
        fuse = _load_fusion(config.data)
        sets = [_read_folder(folder, modality, config.data, fuse) for folder in config.data.folders]
        sets += [_luminance_of(folder, config) for folder in config.data.luminance]
        sets += [_taught_pairs(Path(folder), config, fuse) for folder in config.data.taught]
        sets += [[_labelled(image, config) for image in read_masked(each)] for each in config.data.masked]
        self.items = [item for items in sets for item in items]
        self._probability = draw_probabilities([len(items) for items in sets], config.data.weights)
        self._looks = [look for folder in config.data.looks for look in _looks_of(Path(folder), config)]

    def _network(self) -> nn.Module:
        config = self.config
        channels = 3 if config.branch == 'visible' else 1
        network = DepthNetwork(dataclasses.replace(config.network, image_channels=channels))
        if config.initial_weights:
            load_weights(network, f'{config.branch}_depth', config.initial_weights)
        else:
            network.encoder.load_imagenet()
        for module in network.encoder.first(config.frozen_blocks) if config.frozen_blocks else ():
            module.requires_grad_(False)
        return network

    def train(self, mode: bool = True) -> 'DepthStage':
        """As of any module, but for statistics that are to stay."""
        super().train(mode)
        if self.config.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def sample(self, generator: np.random.Generator) -> Sample:
        """A view of an image.

        ``image`` (C, h, w) in [0, 1]; canonical ``truth`` metres with NaN, ``sky`` and ``ground`` bool, ``feet`` as
        ``data.masks.feet`` (1, h, w).
        """
        data = self.config.data
        item = self.items[int(generator.choice(len(self.items), p=self._probability))]
        image = item.image
        if item.fused is not None and generator.random() < data.fused:
            image = item.fused
        if data.turned and generator.random() < 0.5:
            item, image = _turned(item, image, Turn.random(generator, item.camera, data.turned))
        height, width = item.depth.shape
        view = random_view(generator, (width, height), data.crop, data.zoom)
        shown = _cut(image, view)
        if item.instances is not None and generator.random() < data.repainted:
            shown = repaint(generator, shown, view.of_instances(item.instances))
        if self._looks and generator.random() < data.relooked:
            look = self._looks[int(generator.integers(len(self._looks)))]
            shown = exchange_look(shown, look, generator.random())
        return self._prepare(item, view, change_light(generator, shown, data.light))

    def _prepare(self, item: DepthItem, view: View, image: npt.NDArray[np.uint8]) -> Sample:
        depth = view.of_depth(item.depth)
        canonical = depth * np.float32(self.config.network.canonical_focal / view.of_camera(item.camera).fx)
        roles = np.zeros(depth.shape, np.uint16) if item.roles is None else view.of_instances(item.roles)
        sky = np.isnan(depth) & item.open_sky | (roles == SKY)
        return {
            'image': as_planes(image.reshape(*depth.shape, -1)),
            'truth': canonical[None],
            'sky': sky[None],
            'ground': (roles == GROUND)[None],
            'feet': feet(roles)[None],
        }

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``loss`` and its terms: silog, gradient, sky, ground, standing, certainty."""
        weights = self.config.loss
        output = self.branch(batch['image'])
        predicted, variance, truth = output.log_depth.float(), output.variance.float(), batch['truth']
        known = torch.isfinite(truth)
        error = torch.where(known, predicted - torch.where(known, truth, 1.0).log(), 0.0)
        terms = {
            # ZoeDepth's square root keeps the gradient alive when the error is small.
            'silog': (silog(predicted, truth, weights.variance_weight) + 1e-6).sqrt(),
            'gradient': log_gradient(predicted, truth),
            'sky': _mean_over(torch.relu(np.log(weights.sky_depth) - predicted), batch['sky']),
            'ground': unevenness(predicted, batch['ground']),
            'standing': apart_from_ground(predicted, batch['feet']),
            'certainty': _mean_over(error.detach() ** 2 / (variance + 1e-3) + (variance + 1e-3).log(), known),
        }
        loss = (
            terms['silog']
            + weights.gradient * terms['gradient']
            + weights.sky * terms['sky']
            + weights.ground * terms['ground']
            + weights.standing * terms['standing']
            + weights.certainty * terms['certainty']
        )
        return {'loss': loss, **terms}

    @torch.no_grad()
    def picture(self) -> npt.NDArray[np.uint8]:
        """Six training views: image, truth, prediction; near is red, far is blue, unknown is black."""
        generator = np.random.default_rng(0)
        rows = []
        for _ in range(6):
            sample = self.sample(generator)
            predicted = self.branch(torch.from_numpy(sample['image'])[None]).log_depth[0, 0].exp().numpy()
            image = np.broadcast_to(sample['image'][:3].transpose(1, 2, 0) * 255, (*predicted.shape, 3)).astype(
                np.uint8
            )
            rows.append(np.hstack([image, _coloured(sample['truth'][0]), _coloured(predicted)]))
        return np.vstack(rows)


def create(config: DepthStageConfig) -> Stage:
    """The stage with ImageNet weights in the encoder and fresh ones in the decoder."""
    torch.manual_seed(config.trainer.seed)
    return DepthStage(config)


def _load_fusion(data: DepthDataConfig) -> Fusion:
    if data.fused == 0:
        return None
    pipeline = Pipeline.load('onnxruntime', None if data.fusion == RELEASED else Path(data.fusion), threads=1)
    return lambda visible, thermal: pipeline(visible, thermal).fused


def _read_folder(named: str, modality: Modality, data: DepthDataConfig, fuse: Fusion = None) -> list[DepthItem]:
    folder, pattern = folder_and_pattern(named)
    readers: list[Callable[[], DepthItem]]
    if (folder / 'dataset.yaml').is_file():
        repaints = modality == 'visible' and data.repainted > 0
        readers = [partial(_simulated, frame, modality, repaints, fuse) for frame in open_simulation(folder)]
    else:
        sources = open_depth(folder, modality=modality, faults=data.faults).sources
        wanted = [source for source in sources if fnmatch.fnmatch(source.name, pattern)]
        kept = [source for source in wanted if not any(fnmatch.fnmatch(source.name, p) for p in data.held_out)]
        right = [open_right_images(Path(each)) for each in data.right]
        thermal = images_by_name(folder / 'ir') if modality == 'visible' and (folder / 'ir').is_dir() else {}
        readers = [partial(_measured_pair, source, right, thermal.get(source.name), fuse) for source in kept]
    items = read_each(readers, lambda read: read(), data.faults)
    if not items:
        raise InputError(f'{named}: no sample to train on is left')
    return items


def _luminance_of(folder: str, config: DepthStageConfig) -> list[DepthItem]:
    if config.branch == 'visible':
        raise InputError('data.luminance: is for the thermal branch; the visible branch reads colours')
    items = _read_folder(folder, 'visible', config.data)
    return [dataclasses.replace(item, image=_grey(item.image), instances=None) for item in items]


def _measured(source: DepthSource, right: Sequence[RightImages] = ()) -> DepthItem:
    sample = source.read()
    depth = sample.depth
    for images in right if source.modality == 'visible' else ():
        stereo = images.depth(source.name, sample.image, sample.camera.fx)
        depth = depth if stereo is None else np.where(np.isfinite(depth), depth, stereo)
    return DepthItem(sample.image.reshape(*depth.shape, -1), None, depth, sample.camera, False)


def _measured_pair(source: DepthSource, right: Sequence[RightImages], thermal: Path | None, fuse: Fusion) -> DepthItem:
    """With what it looks like fused, if there is an aligned thermal image."""
    item = _measured(source, right)
    return item if thermal is None else _with_fused(item, item.image, as_thermal8(read_image(thermal)), fuse)


def _simulated(frame: SimulatedFrame, modality: Modality, with_instances: bool, fuse: Fusion) -> DepthItem:
    instances = frame.read_instances() if with_instances else None
    item = dataclasses.replace(_measured(frame.depth_source(modality)), open_sky=True, instances=instances)
    return _with_fused(item, frame.read_visible(), frame.read_thermal(), fuse) if frame.is_aligned else item


def _with_fused(
    item: DepthItem, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], fuse: Fusion
) -> DepthItem:
    if fuse is None:
        return item
    fused = fuse(visible, thermal)
    return dataclasses.replace(item, fused=_grey(fused) if item.image.shape[2] == 1 else fused)


def _grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Luminance (H, W, 1) of RGB (H, W, 3)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]


def _taught_pairs(folder: Path, config: DepthStageConfig, fuse: Fusion) -> list[DepthItem]:
    """Pairs whose thermal or fused image learns depth from the visible branch."""
    teacher = _load_teacher(config)
    pairs = [source.read() for source in open_pairs(folder).pairs]
    bright = [pair for pair in pairs if pair.visible.mean() >= config.data.teacher_darkest]
    return [_with_fused(_taught(pair, teacher, config), pair.visible, pair.thermal, fuse) for pair in bright]


def _load_teacher(config: DepthStageConfig) -> DepthNetwork | PublishedDepth:
    named = config.data.teacher
    path = Path(named)
    if named != RELEASED and path.suffix != '.pt' and not (path / 'manifest.yaml').is_file():
        return PublishedDepth.load(named)
    teacher = DepthNetwork(dataclasses.replace(config.network, image_channels=3))
    load_weights(teacher, 'visible_depth', named)
    return teacher.eval()


@torch.no_grad()
def _taught(pair: Pair, teacher: DepthNetwork | PublishedDepth, config: DepthStageConfig) -> DepthItem:
    height, width = pair.thermal.shape
    output = teacher(torch.from_numpy(as_planes(pair.visible))[None])
    depth: npt.NDArray[np.float32] = output.log_depth.exp()[0, 0].numpy()
    depth[output.variance[0, 0].numpy() > config.data.teacher_variance] = np.nan
    image = pair.visible if config.branch == 'visible' else pair.thermal[..., None]
    return DepthItem(image, None, depth, _canonical_camera(width, height, config), False)


def _labelled(masked: MaskedImage, config: DepthStageConfig) -> DepthItem:
    """An image without any known depth; the thermal branch reads its luminance."""
    height, width = masked.roles.shape
    image = masked.image if config.branch == 'visible' else _grey(masked.image)
    depth = np.full((height, width), np.nan, np.float32)
    return DepthItem(image, None, depth, _canonical_camera(width, height, config), False, roles=masked.roles)


def _canonical_camera(width: int, height: int, config: DepthStageConfig) -> Intrinsics:
    focal = config.network.canonical_focal
    return Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def _turned(item: DepthItem, image: npt.NDArray[np.uint8], turn: Turn) -> tuple[DepthItem, npt.NDArray[np.uint8]]:
    """An item and what is shown of it, by a turned camera; nothing is known beyond the border, no sky either."""
    instances = None if item.instances is None else turn.of_instances(item.instances)
    roles = None if item.roles is None else turn.of_instances(item.roles)
    depth = turn.of_depth(item.depth)
    turned = dataclasses.replace(item, depth=depth, open_sky=False, instances=instances, roles=roles)
    return turned, turn.of_image(image)


def _looks_of(folder: Path, config: DepthStageConfig) -> list[npt.NDArray[np.float32]]:
    """The lowest frequencies of the images in ``folder/vi``."""
    if config.branch != 'visible':
        raise InputError('data.looks: is for the visible branch; the thermal branch sees no colours')
    images = (as_rgb8(read_image(path)) for path in images_by_name(folder / 'vi').values())
    small = (cv2.resize(image, config.data.crop, interpolation=cv2.INTER_AREA) for image in images)
    return [low_frequencies(np.asarray(image, np.uint8), LOOK) for image in small]


def _cut(image: npt.NDArray[np.uint8], view: View) -> npt.NDArray[np.uint8]:
    return view.of_image(image[..., 0] if image.shape[2] == 1 else image)


def _mean_over(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _coloured(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    nearness = np.clip(1.0 - np.log(np.nan_to_num(depth, nan=150.0).clip(1.0, 150.0)) / np.log(150.0), 0, 1)
    colours = cv2.applyColorMap((nearness * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(np.isnan(depth)[..., None], 0, colours).astype(np.uint8)
