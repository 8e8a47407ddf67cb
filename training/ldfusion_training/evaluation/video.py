"""Flicker of several methods' fused video of one simulated scene, side by side."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_training.data.pairs import PairSource
from ldfusion_training.data.simulated import SimulatedFrame, open_simulation
from ldfusion_training.evaluation.flicker import Flicker, measure_flicker, motions
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.report.tables import markdown_table, require_distinct


def open_scene(scene: Path) -> list[SimulatedFrame]:
    """The frames of one scene of a simulated data set, in order of time.

    Raises:
        InputError: not a finished scene of such a data set, or a rig whose images are not aligned.
    """
    resolved = scene.resolve()
    frames = [frame for frame in open_simulation(resolved.parent) if frame.scene == resolved]
    if not frames:
        raise InputError(f'{scene}: no finished scene of a simulated data set')
    if not frames[0].is_aligned:
        raise InputError(f'{scene}: its images are not aligned; simulate without a baseline')
    return frames


def pair_sources(frames: Sequence[SimulatedFrame]) -> list[PairSource]:
    """The pairs of a scene, named as their files (``000000``, ...), as results of ``ldfusion fuse`` are."""
    sources = [frame.pair_source() for frame in frames]
    return [PairSource(source.visible.stem, source.visible, source.thermal) for source in sources]


def score_videos(frames: Sequence[SimulatedFrame], methods: Sequence[Method]) -> dict[str, Flicker]:
    """Flicker by method's name.

    Raises:
        InputError: two methods of one name, unreadable images or depth, or too few frames.
    """
    require_distinct([method.name for method in methods])
    known_motions = list(motions(frames))
    sources = pair_sources(frames)
    pairs = [source.read() for source in sources]
    scores = {}
    for method in methods:
        video = [method.fused(source.name, pair) for source, pair in zip(sources, pairs, strict=True)]
        scores[method.name] = measure_flicker(video, known_motions)
    return scores


def report(scores: dict[str, Flicker]) -> str:
    """The Markdown table, one row a method."""
    rows: list[list[str | float]] = [[name, *asdict(flicker).values()] for name, flicker in scores.items()]
    return markdown_table(['method', *(field.name for field in fields(Flicker))], rows)


def as_json(scores: dict[str, Flicker]) -> dict[str, dict[str, float]]:
    """The values by method, ready for JSON."""
    return {name: asdict(flicker) for name, flicker in scores.items()}
