"""Makes the picture of README.md from simulated scenes and the shipped weights: ``python docs/picture.py [FILE]``."""

import sys
from pathlib import Path

import cv2

from ldfusion_models.camera.lens import Intrinsics, points_from_depth
from ldfusion_models.files import written_whole
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet, depth_legend, side_view
from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.scene import simulate_scene

FILE = Path(__file__).with_name('picture.jpg')
CELL = 272, 204
QUALITY = 84
# Caption, kind, light, weather, seed, and how many frames into the scene.
SCENES = (
    ('dusk, drifting smoke', 'street', 'dusk', 'smoke', 2, 12),
    ('night', 'street', 'night', 'clear', 5, 4),
    ('corridor, dark', 'corridor', 'night', 'clear', 3, 4),
)
SCALE = DepthScale(2.0, 60.0)


def make_picture(file: Path = FILE) -> None:
    """Write visible, thermal, fused, depth and cloud of each scene as one JPEG."""
    pipeline = Pipeline.load('onnxruntime')
    rows = [row(pipeline, *scene) for scene in SCENES]
    names = ('visible', 'thermal', 'fused', 'depth of fused', 'points')
    sheet = contact_sheet(names, rows, CELL, depth_legend(SCALE, CELL[1]))
    with written_whole(file) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def row(pipeline: Pipeline, caption: str, kind: str, light: str, weather: str, seed: int, frame: int) -> Row:
    """One frame of a scene through the networks."""
    config = SimulationConfig(
        seed=seed, scenes=1, frames=frame + 1, rate_hz=5, kinds=(kind,), lights=(light,), weathers=(weather,)
    )
    *_, shown = simulate_scene(config, 0)
    camera = Intrinsics.from_field_of_view(config.width, config.height, config.field_of_view)
    result = pipeline(shown.visible, shown.thermal, focal=camera.fx)
    points = side_view(points_from_depth(result.depth, camera), result.fused, *CELL)
    return Row(caption, [shown.visible, shown.thermal, result.fused, colour_depth(result.depth, SCALE), points])


if __name__ == '__main__':
    make_picture(*map(Path, sys.argv[1:]))
