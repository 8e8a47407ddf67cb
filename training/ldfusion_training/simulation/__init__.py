"""Made drives and walks of a visible and a thermal camera, with exact depth, ids, poses and descriptions.

``simulate_scene(config, index)`` yields :class:`Frame` after frame, ``draw_scene`` tells the rig's cameras,
``write_dataset`` writes scenes as folders and ``record_scene`` as a rosbag2 recording.
"""

from ldfusion_training.simulation.config import KINDS, LIGHTS, WEATHERS, SimulationConfig
from ldfusion_training.simulation.dataset import write_dataset, write_recordings
from ldfusion_training.simulation.recording import record_scene
from ldfusion_training.simulation.scene import Frame, Scene, draw_scene, simulate_scene
from ldfusion_training.simulation.scenery.things import CLASSES

__all__ = [
    'CLASSES',
    'KINDS',
    'LIGHTS',
    'WEATHERS',
    'Frame',
    'Scene',
    'SimulationConfig',
    'draw_scene',
    'record_scene',
    'simulate_scene',
    'write_dataset',
    'write_recordings',
]
