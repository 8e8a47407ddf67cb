"""Stage ``depth_teacher``: a large network learns what the light branches are taught, as ``depth`` but for the network.

It starts from a published vision transformer (``ldfusion_training.teacher.encoder``) and never runs on a robot.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ldfusion_models.errors import InputError
from ldfusion_training.data.augment import View
from ldfusion_training.runs.trainer import Sample, Stage
from ldfusion_training.stages.depth import DepthItem, DepthStage, DepthStageConfig
from ldfusion_training.teacher.encoder import load_published, published_file
from ldfusion_training.teacher.network import TeacherConfig, TeacherNetwork, rays


@dataclass(frozen=True)
class TeacherStageConfig(DepthStageConfig):
    """Settings of the stage, of which ``initial_weights`` and ``frozen_blocks`` are not used.

    Attributes:
        encoder: ONNX file of the encoder; empty for that of the installed package.
        encoder_rate: learning rate of the encoder over that of the decoder; 0 leaves it as it is.
        teacher: size of the network.
    """

    encoder: str = ''
    encoder_rate: float = 0.05
    teacher: TeacherConfig = field(default_factory=TeacherConfig)


CONFIG = TeacherStageConfig


class TeacherStage(DepthStage):
    """The losses of the depth stage; samples also hold where their pixels look."""

    def __init__(self, config: TeacherStageConfig) -> None:
        if config.branch != 'visible':
            raise InputError('branch: the teacher sees visible images')
        self._settings = config
        super().__init__(config)
        self.parts = {'teacher': self.branch}

    def _network(self) -> TeacherNetwork:
        focal = self._settings.network.canonical_focal
        network = TeacherNetwork(replace(self._settings.teacher, canonical_focal=focal))
        load_published(network.encoder, Path(self._settings.encoder) if self._settings.encoder else published_file())
        network.encoder.requires_grad_(self._settings.encoder_rate > 0)
        return network

    def rate_of(self, name: str) -> float:
        """The encoder learns more slowly."""
        return self._settings.encoder_rate if name.startswith('branch.encoder.') else 1.0

    def _prepare(self, item: DepthItem, view: View, image: npt.NDArray[np.uint8]) -> Sample:
        sample = super()._prepare(item, view, image)
        camera = view.of_camera(item.camera)
        looks = rays(camera.width, camera.height, camera.cx, camera.cy, self._settings.network.canonical_focal)
        return {**sample, 'image': np.concatenate([sample['image'], looks.numpy()])}


def create(config: TeacherStageConfig) -> Stage:
    """The stage with published weights in the encoder and fresh ones in the decoder."""
    torch.manual_seed(config.trainer.seed)
    return TeacherStage(config)


def load_teacher(checkpoint: Path) -> TeacherNetwork:
    """The averaged network of a run of this stage; raises InputError for another checkpoint."""
    from ldfusion_training.runs.trainer import named_below, read_checkpoint

    content = read_checkpoint(checkpoint)
    state = named_below(content['average'], 'teacher')
    if not state:
        raise InputError(f'{checkpoint}: holds no teacher; it is made by ldfusion train depth_teacher')
    settings = content['settings']
    focal = settings['network']['canonical_focal']
    network = TeacherNetwork(TeacherConfig(**{**settings['teacher'], 'canonical_focal': focal}))
    network.load_state_dict(state)
    return network.eval()
