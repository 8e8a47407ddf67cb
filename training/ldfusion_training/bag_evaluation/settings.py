"""How recordings are evaluated: what the node's parameters say, and what is measured."""

import logging
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_yaml
from ldfusion_models.published.profiles import read_profile, with_profile
from ldfusion_models.rig.settings import NodeSettings, refusal
from ldfusion_training.evaluation.depth_metrics import DepthRange

NODE = 'fusion_node'
# Names that only a robot's node has have no part here; one as near as this to a setting is a slip.
SLIP = 0.85
_log = logging.getLogger(__name__)
PAIR_BY = ('stamps', 'arrival')


@dataclass(frozen=True)
class Topics:
    """Names of topics; empty ones are found but for ranges, ``none`` for depth or points leaves them out."""

    visible: str = ''
    thermal: str = ''
    depth: str = ''
    points: str = ''
    ranges: str = ''


@dataclass(frozen=True)
class BagSettings:
    """Settings of an evaluation.

    Attributes:
        node: as the node would run.
        topics: to read.
        metrics_every: every so many frames all measures are taken, the quick ones of each frame; 0: none.
        depth_tolerance: seconds that stamps of measured depth and visible image may differ.
        depth_range: of measured depth that counts, in metres.
        pair_by: ``stamps`` of the headers as the node does, or ``arrival``: when the messages were recorded.
        output_bag, mp4: write the fused images and depth so as well.
    """

    node: NodeSettings = field(default_factory=NodeSettings)
    topics: Topics = Topics()
    metrics_every: int = 5
    depth_tolerance: float = 0.02
    depth_range: DepthRange = field(default_factory=DepthRange)
    pair_by: str = PAIR_BY[0]
    output_bag: bool = False
    mp4: bool = False

    def __post_init__(self) -> None:
        if self.metrics_every < 0:
            raise InputError(f'--metrics-every {self.metrics_every}: 0 or more frames are needed')
        if self.pair_by not in PAIR_BY:
            raise InputError(f'--pair-by {self.pair_by}: choose one of {", ".join(PAIR_BY)}')


def node_settings(path: Path) -> NodeSettings:
    """The settings in a parameter file of the node (YAML, as ``config/ldfusion.yaml``); others in it are left aside.

    Raises:
        InputError: no such file, no YAML, no parameters of ``fusion_node``, a value that can't be or a name that is
            nearly that of a setting, or no such profile.
    """
    content = read_yaml(path)
    sections = content if isinstance(content, dict) else {}
    mine = [
        section for name, section in sections.items() if str(name).strip('/').rpartition('/')[2] in (NODE, '**', '*')
    ]
    found = [section.get('ros__parameters') if isinstance(section, dict) else None for section in mine]
    given: dict[str, Any] = {}
    for parameters in found or [None]:
        if not isinstance(parameters, dict):
            raise InputError(f'{path}: holds no parameters of {NODE}')
        given |= {str(name): value for name, value in parameters.items()}
    known = [setting.name for setting in fields(NodeSettings)]
    own = {name: value for name, value in given.items() if get_close_matches(name, known, 1, SLIP)}
    if problems := [problem for name, value in own.items() if (problem := refusal(NodeSettings, name, value))]:
        raise InputError(f'{path}: {problems[0]}')
    settings = NodeSettings(**own)
    of_profile = read_profile(settings.profile).correcting_depth if settings.profile else ''
    if network := given.get('correcting_depth') or of_profile:
        _log.warning('correcting_depth: %s has no part here; when its depth comes depends on the machine', network)
    return with_profile(settings)
