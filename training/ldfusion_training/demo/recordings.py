"""What the demo replays where a person brings no recording: their image files, or a simulated drive."""

import shutil
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_models.files import match_pairs
from ldfusion_training.recordings.pair_recording import RecordingConfig, common_size, record_pairs
from ldfusion_training.simulation.config import SimulationConfig

FOLDER_RATE_HZ = 2.0
# A street at dusk with drifting smoke: what each camera alone does not see.
DRIVE = SimulationConfig(
    seed=2,
    scenes=1,
    frames=40,
    width=320,
    height=256,
    rate_hz=5.0,
    kinds=('street',),
    lights=('dusk',),
    weathers=('smoke',),
)


def make_room(folder: Path, needed: Path | None = None) -> None:
    """Delete the recording that an earlier demo left.

    Raises:
        InputError: something else is there, too, or it is the recording that is ``needed``.
    """
    if not folder.exists():
        return
    left = {'metadata.yaml', f'{folder.name}.mcap'}
    if {path.name for path in folder.iterdir()} != left or (
        needed and needed.resolve().is_relative_to(folder.resolve())
    ):
        raise InputError(f'{folder}: exists already, and is not what a demo left; choose another --output')
    shutil.rmtree(folder)


def recording_of_pairs(visible: Path, thermal: Path, recording: Path) -> Path:
    """Record folders of pairs anew; images of differing sizes are brought to the smallest.

    Raises:
        InputError: an image is missing, unpaired or damaged, or the recording can't be written.
    """
    pairs = match_pairs(visible, thermal)
    make_room(recording)
    record_pairs(
        tqdm(pairs, unit='pair', disable=None), recording, RecordingConfig(FOLDER_RATE_HZ, size=common_size(pairs))
    )
    return recording


def simulated_recording(recording: Path, config: SimulationConfig = DRIVE) -> Path:
    """Record a simulated drive; a recording that is there already is taken as it is.

    Raises:
        InputError: the recording can't be written.
    """
    if not recording.exists():
        from ldfusion_training.simulation.recording import record_scene

        with tqdm(total=config.frames, desc='simulate', unit='frame', disable=None) as bar:
            record_scene(config, 0, recording, bar.update)
    return recording
