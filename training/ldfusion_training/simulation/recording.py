"""A scene as a rosbag2 recording (MCAP), as a robot with both cameras would have made it.

=========================== ===================== ====================================================================
``/visible/image_raw``      Image rgb8            with ``/visible/camera_info``
``/thermal/image_raw``      Image mono16          counts, kelvin = count * 0.01; with ``/thermal/camera_info``
``/depth/image_raw``        Image 32FC1           the truth: metres in the visible camera; with ``/depth/camera_info``
``/tf_static``              TFMessage             base_link to both optical frames
``/tf``                     TFMessage             odom to base_link: the rig's way
=========================== ===================== ====================================================================
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_training.recordings.bags import BagWriter, Transform
from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.scene import OPTICAL_T_BODY, Frame, Scene, draw_scene, simulate_scene
from ldfusion_training.simulation.scenery.meshes import Floats

VISIBLE, THERMAL = 'visible_optical_frame', 'thermal_optical_frame'


def record_scene(
    config: SimulationConfig, index: int, recording: Path, progress: Callable[[], object] | None = None
) -> None:
    """Write the scene of that number; the recording appears when it is complete.

    Raises:
        InputError: the recording exists already or can't be written.
    """
    scene = draw_scene(config, index)
    base_from_visible = np.linalg.inv(OPTICAL_T_BODY)
    base_from_visible[2, 3] = scene.layout.route.height
    with BagWriter(recording) as bag:
        for frame in simulate_scene(config, index):
            if frame.index == 0:
                bag.write_transforms(frame.stamp_ns, _rig(scene, base_from_visible), static=True)
            world_from_base = frame.world_T_visible @ np.linalg.inv(base_from_visible)
            bag.write_transforms(frame.stamp_ns, [Transform('odom', 'base_link', world_from_base)])
            _write_images(bag, frame, scene, config)
            if progress is not None:
                progress()


def _rig(scene: Scene, base_from_visible: Floats) -> list[Transform]:
    base_from_thermal = base_from_visible @ np.linalg.inv(scene.thermal_T_visible)
    return [Transform('base_link', VISIBLE, base_from_visible), Transform('base_link', THERMAL, base_from_thermal)]


def _write_images(bag: BagWriter, frame: Frame, scene: Scene, config: SimulationConfig) -> None:
    plain = (0.0, 0.0, 0.0, 0.0, 0.0)
    for topic, frame_id, camera, image, distortion in (
        ('/visible', VISIBLE, scene.visible, frame.visible, config.distortion),
        ('/thermal', THERMAL, scene.thermal, frame.thermal_raw, config.distortion if config.aligned else plain),
        ('/depth', VISIBLE, scene.visible, frame.depth, config.distortion),
    ):
        known = Calibration(camera, model='plumb_bob', coefficients=tuple(distortion))
        bag.write_camera_info(f'{topic}/camera_info', frame.stamp_ns, frame_id, known)
        bag.write_image(f'{topic}/image_raw', frame.stamp_ns, frame_id, image)
