"""How fast scenes are made."""

import time

from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.scene import Rig, draw_scene


def benchmark(config: SimulationConfig) -> dict[str, object]:
    """Make the configured scenes, write nothing, and report frames per second of processor time (one core).

    Returns:
        a record for JSON: image size, frames, frames per second and core over all and by kind and light, and
        seconds to build a scene.
    """
    by_scene: dict[str, float] = {}
    building = making = 0.0
    for index in range(config.scenes):
        start = time.process_time()
        rig = Rig(config, draw_scene(config, index))
        built = time.process_time()
        for _ in rig.frames():
            pass
        done = time.process_time()
        building += built - start
        making += done - built
        name = f'{rig.scene.kind} {rig.scene.climate.light} {rig.scene.climate.weather}'
        by_scene[f'{index}: {name}'] = round(config.frames / (done - built), 2)
    return {
        'size': [config.width, config.height],
        'scenes': config.scenes,
        'frames_per_scene': config.frames,
        'frames_per_second_and_core': round(config.scenes * config.frames / making, 2),
        'seconds_to_build_a_scene': round(building / config.scenes, 2),
        'by_scene': by_scene,
    }
