"""What the demo replays where a person brings no recording: their image files, or a simulated drive."""

import shutil
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.files import match_pairs
from ldfusion_training.bags import SECOND, BagWriter
from ldfusion_training.pair_recording import (
    CAMERAS,
    START_NS,
    RecordingConfig,
    common_size,
    record_pairs,
    rig_transforms,
)
from ldfusion_training.simulation.config import SimulationConfig

FOLDER_RATE_HZ = 5.0
DRIVES = SimulationConfig(seed=4, scenes=3, frames=16, width=320, height=256, rate_hz=5.0)


def recording_of_pairs(visible: Path, thermal: Path, recording: Path) -> Path:
    """Record folders of pairs anew; images of differing sizes are brought to the smallest.

    Raises:
        InputError: an image is missing, unpaired or damaged, or the recording can't be written.
    """
    pairs = match_pairs(visible, thermal)
    shutil.rmtree(recording, ignore_errors=True)
    record_pairs(
        tqdm(pairs, unit='pair', disable=None), recording, RecordingConfig(FOLDER_RATE_HZ, size=common_size(pairs))
    )
    return recording


def simulated_recording(recording: Path, config: SimulationConfig = DRIVES) -> Path:
    """Record simulated drives one after the other; a recording that is there already is taken as it is.

    Raises:
        InputError: the recording can't be written.
    """
    if recording.exists():
        return recording
    from ldfusion_training.simulation.scene import simulate_scene

    cameras = dict(zip(CAMERAS, (config.visible_camera, config.thermal_camera), strict=True))
    with BagWriter(recording) as bag, tqdm(total=config.scenes * config.frames, desc='simulate', disable=None) as bar:
        bag.write_transforms(START_NS, rig_transforms(), static=True)
        frames = (frame for scene in range(config.scenes) for frame in simulate_scene(config, scene))
        for index, frame in enumerate(frames):
            stamp_ns = START_NS + round(index * SECOND / config.rate_hz)
            for camera, image in zip(CAMERAS, (frame.visible, frame.thermal), strict=True):
                frame_id = f'{camera}_optical_frame'
                bag.write_camera_info(f'/{camera}/camera_info', stamp_ns, frame_id, cameras[camera])
                bag.write_image(f'/{camera}/image_raw', stamp_ns, frame_id, image)
            bar.update()
    return recording
