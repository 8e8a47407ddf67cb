"""A sheet to look at: the first frame of each scene in both cameras, its depth, and what it shows."""

import cv2
import numpy as np

from ldfusion_training.report.pictures import RGB, DepthScale, Row, colour_depth, contact_sheet, depth_legend
from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.scene import Frame, draw_scene, simulate_scene

SCALE = DepthScale(1.0, 100.0)
CELL = 320, 240


def preview(config: SimulationConfig) -> RGB:
    """The sheet (H, W, 3): one row for each scene."""
    rows = []
    for index in range(config.scenes):
        scene = draw_scene(config, index)
        frame = next(simulate_scene(config, index))
        title = f'{index}: {scene.kind}, {scene.climate.light}, {scene.climate.weather}. {frame.text}'
        depth = colour_depth(frame.depth, SCALE)
        rows.append(Row(title, (frame.visible, frame.thermal, depth, _instances(frame))))
    names = ('visible', 'thermal', 'depth', 'instances')
    return contact_sheet(names, rows, CELL, depth_legend(SCALE, CELL[1]))


def _instances(frame: Frame) -> RGB:
    """Each thing in a colour of its own."""
    shuffled = (frame.instance.astype(np.uint32) * 2_654_435_761 >> 8 & 0xFF).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(shuffled, cv2.COLORMAP_HSV), cv2.COLOR_BGR2RGB)
    colours[frame.instance == 0] = 0
    return np.asarray(colours, np.uint8)
