"""Profiles: which models the nodes use, by one name; each is a few of the nodes' parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from ldfusion_models.choices import EMBEDDED, DepthSource
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_yaml
from ldfusion_models.mappings import from_mapping
from ldfusion_models.paths import named_path
from ldfusion_models.published.store import fitted_fusion, local_model, prepared_graph, task_of

Settings = TypeVar('Settings', bound=Any)
# The nodes' parameters that a profile gives.
OF_NODES: Mapping[str, tuple[str, ...]] = {
    'fusion_node': ('depth', 'correcting_depth', 'depth_source', 'text_encoder', 'weights'),
    'guidance_node': ('captioner', 'text_encoder'),
}


@dataclass(frozen=True)
class Profile:
    """What the nodes use in place of the package's own; a field's name is that of the nodes' parameter.

    Attributes:
        depth: network in the frame graph, on every frame; empty for the package's own.
        correcting_depth: network that corrects the package's own depth at its own rate; empty for none.
        depth_source: the image that these networks see.
        captioner: of guidance_node.
        text_encoder: of both nodes.
        weights: of fusion_node.
    """

    depth: str = ''
    correcting_depth: str = ''
    depth_source: DepthSource = 'fused'
    captioner: str = EMBEDDED
    text_encoder: str = EMBEDDED
    weights: str = ''

    def changes(self) -> dict[str, str]:
        """What differs from the package's own."""
        return {name: value for name, value in vars(self).items() if value != getattr(Profile, name)}

    def check(self) -> None:
        """Raises InputError if a model is not here or not prepared, with the one command that brings it."""
        for network in filter(None, (self.depth, self.correcting_depth)):
            prepared_graph(network, self.depth_source)
        if self.captioner != EMBEDDED:
            local_model(self.captioner)
        fitted_fusion(self.text_encoder)


PROFILES: Mapping[str, Profile] = {
    EMBEDDED: Profile(),
    'outdoor': Profile(
        correcting_depth='depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf',
        captioner='Salesforce/blip-image-captioning-base',
    ),
    'indoor': Profile(
        correcting_depth='depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf',
        captioner='Salesforce/blip-image-captioning-base',
    ),
    'paper': Profile(weights='paper'),
}


def read_profile(name: str) -> Profile:
    """A profile by its name, or of a .yaml file with settings of ``Profile``.

    Raises:
        InputError: an unknown name, or a file that is no profile.
    """
    if name in PROFILES:
        return PROFILES[name]
    if not name.endswith('.yaml'):
        raise InputError(f'profile {name!r} is unknown; known are {", ".join(PROFILES)}, or name a .yaml file')
    return from_mapping(Profile, read_yaml(named_path(name)), name)


def profile_of(model: str, depth_source: DepthSource) -> Profile:
    """The profile that uses one model that is here, for what it is for; raises InputError as ``task_of``."""
    task = task_of(model)
    if task == 'depth':
        return Profile(depth=model, depth_source=depth_source)
    return Profile(captioner=model) if task == 'captions' else Profile(text_encoder=model)


def with_profile(settings: Settings) -> Settings:
    """``settings`` with ``profile``: what it leaves at its default is as the profile says, if it is ``of_profile``.

    Raises:
        InputError: as ``read_profile``.
    """
    if not settings.profile:
        return settings
    profile = read_profile(settings.profile).changes()
    defaults = {field.name: field.default for field in fields(settings)}
    left = {name for name in settings.of_profile if name in defaults and getattr(settings, name) == defaults[name]}
    changed: Settings = replace(settings, **{name: value for name, value in profile.items() if name in left})
    return changed
