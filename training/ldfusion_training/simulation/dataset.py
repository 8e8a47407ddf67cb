"""Scenes as a dataset folder. A scene whose ``scene.json`` is missing is not complete; it is written last.

DATASET/dataset.yaml            format, version, settings; a rerun with the same settings goes on where it stopped
DATASET/scene_00000/scene.json  kind, light, weather, cameras, thermal_T_visible, scale of the counts, classes, frames
    visible/000000.png          RGB, 8 bits              thermal/000000.png      8 bits after gain control
    thermal_raw/000000.png      16 bits, kelvin = count * kelvin_per_count
    depth/000000.npy            float32 metres along the visible camera's optical axis, NaN = nothing there (sky)
    depth_thermal/000000.npy    the same for the thermal camera; only where the rig has a baseline
    instance_thermal/000000.png as instance, likewise
    instance/000000.png         16 bits, 0 = nothing     class/000000.png        8 bits, index into "classes"
    text/000000.json            text, objects (class, distance_m, side, instance, ...), kind, light, weather
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image, written_whole
from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.recording import record_scene
from ldfusion_training.simulation.rendering.thermal import KELVIN_PER_COUNT
from ldfusion_training.simulation.scene import Frame, Rig, Scene, draw_scene
from ldfusion_training.simulation.scenery.things import CLASSES

FORMAT = 'ldfusion-simulation'
RECORDINGS = 'ldfusion-simulation-recordings'
VERSION = 1


def write_dataset(
    config: SimulationConfig, output: Path, progress: Callable[[], object] | None = None
) -> Iterator[Path]:
    """Write all scenes that are not complete yet and yield each scene's folder.

    Args:
        config: the settings.
        output: a new or empty folder, or one that a run with the same settings began.
        progress: called after every frame.

    Raises:
        InputError: the folder holds something else, or can't be written (disk full, no permission).
    """
    claim(output, config, FORMAT)
    for index in range(config.scenes):
        folder = output / f'scene_{index:05d}'
        if not (folder / 'scene.json').exists():
            with _room_for(folder):
                write_scene(config, draw_scene(config, index), folder, progress)
        yield folder


def write_recordings(
    config: SimulationConfig, output: Path, progress: Callable[[], object] | None = None
) -> Iterator[Path]:
    """The same as rosbag2 recordings, one for each scene: ``OUTPUT/scene_00000`` and so on."""
    claim(output, config, RECORDINGS)
    for index in range(config.scenes):
        recording = output / f'scene_{index:05d}'
        if not recording.exists():
            with _room_for(recording):
                record_scene(config, index, recording, progress)
        yield recording


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror}); free space and rerun to go on') from error


def claim(output: Path, config: SimulationConfig, form: str) -> None:
    """Make the folder this run's own, or check that it already is.

    Raises:
        InputError: it is another run's, or holds other files.
    """
    header = output / 'dataset.yaml'
    settings = json.loads(json.dumps(asdict(config)))
    wanted = {'format': form, 'version': VERSION, 'seed': config.seed, 'settings': settings}
    if header.is_file():
        found = _read_header(header)
        if _but_scenes(found) != _but_scenes(wanted):
            raise InputError(f'{output}: holds a simulation with other settings; choose another output folder')
        if found['settings']['scenes'] >= config.scenes:
            return
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f'{output}: exists and is no simulation of this seed; choose another output folder')
    with written_whole(header) as temporary:
        temporary.write_text(yaml.safe_dump(wanted, sort_keys=False), encoding='utf-8')


def _read_header(header: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(header.read_text(encoding='utf-8'))
        return {**found, 'settings': dict(found['settings'])}
    except (yaml.YAMLError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f'{header}: not the header of a simulated dataset; choose another output folder') from error


def _but_scenes(header: dict[str, Any]) -> dict[str, Any]:
    """A header without the number of scenes: more scenes of the same seed may be added at any time."""
    return {**header, 'settings': {name: value for name, value in header['settings'].items() if name != 'scenes'}}


def write_scene(
    config: SimulationConfig, scene: Scene, folder: Path, progress: Callable[[], object] | None = None
) -> None:
    """Write one scene; ``scene.json`` comes last."""
    frames = []
    for frame in Rig(config, scene).frames():
        _write_frame(folder, frame, scene, with_thermal_truth=not config.aligned)
        frames.append({'stamp_ns': frame.stamp_ns, 'world_T_visible': frame.world_T_visible.tolist()})
        if progress is not None:
            progress()
    header = {
        'kind': scene.kind,
        'light': scene.climate.light,
        'weather': scene.climate.weather,
        'air_kelvin': scene.climate.air,
        'rate_hz': config.rate_hz,
        'cameras': {'visible': asdict(scene.visible), 'thermal': asdict(scene.thermal)},
        'distortion': list(config.distortion),
        'aligned': config.aligned,
        'thermal_T_visible': scene.thermal_T_visible.tolist(),
        'thermal_scale': {'kelvin_per_count': KELVIN_PER_COUNT},
        'classes': list(CLASSES),
        'frames': frames,
    }
    with written_whole(folder / 'scene.json') as temporary:
        temporary.write_text(json.dumps(header), encoding='utf-8')


def _write_frame(folder: Path, frame: Frame, scene: Scene, with_thermal_truth: bool) -> None:
    name = f'{frame.index:06d}'
    write_image(folder / 'visible' / f'{name}.png', frame.visible)
    write_image(folder / 'thermal' / f'{name}.png', frame.thermal)
    write_image(folder / 'thermal_raw' / f'{name}.png', frame.thermal_raw)
    write_image(folder / 'instance' / f'{name}.png', frame.instance)
    write_image(folder / 'class' / f'{name}.png', frame.classes)
    _write_array(folder / 'depth' / f'{name}.npy', frame.depth)
    if with_thermal_truth:
        _write_array(folder / 'depth_thermal' / f'{name}.npy', frame.depth_thermal)
        write_image(folder / 'instance_thermal' / f'{name}.png', frame.instance_thermal)
    description = {
        'text': frame.text,
        'objects': [each.record() for each in frame.objects],
        'kind': scene.kind,
        'light': scene.climate.light,
        'weather': scene.climate.weather,
    }
    with written_whole(folder / 'text' / f'{name}.json') as temporary:
        temporary.write_text(json.dumps(description), encoding='utf-8')


def _write_array(path: Path, array: np.ndarray) -> None:
    with written_whole(path) as temporary:
        np.save(temporary, array)
