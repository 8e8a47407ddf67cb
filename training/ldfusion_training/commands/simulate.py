"""``ldfusion simulate``: made RGB-thermal-depth scenes."""

import json
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.options.simulate import Simulate
from ldfusion_training.simulation.benchmark import benchmark
from ldfusion_training.simulation.config import SimulationConfig
from ldfusion_training.simulation.dataset import write_dataset, write_recordings
from ldfusion_training.simulation.preview import preview


def run_simulate(options: Simulate) -> int:
    """Make what was asked for."""
    if not (options.output or options.preview or options.benchmark):
        raise InputError('nothing to make: give --output FOLDER, --preview PNG or --benchmark')
    config = config_from(options)
    if options.preview:
        write_image(options.preview, preview(config))
    if options.benchmark:
        print(json.dumps(benchmark(config), indent=2))
    if options.output:
        write_scenes(config, options.output, as_recordings=options.bag)
        print(f'{config.scenes} scenes of {config.frames} frames in {options.output}')
    return 0


def config_from(options: Simulate) -> SimulationConfig:
    """The run's settings.

    Raises:
        InputError: impossible ones.
    """
    thermal_width, thermal_height = options.thermal_size or (None, None)
    return SimulationConfig(
        seed=options.seed,
        scenes=options.scenes,
        frames=options.frames,
        width=options.size[0],
        height=options.size[1],
        field_of_view=options.field_of_view,
        rate_hz=options.rate,
        baseline_m=options.baseline,
        thermal_width=thermal_width,
        thermal_height=thermal_height,
        thermal_field_of_view=options.thermal_field_of_view,
        robot_cameras=options.robot_cameras,
        distortion=options.distortion,
        kinds=options.kinds,
        lights=options.lights,
        weathers=options.weathers,
    )


def write_scenes(config: SimulationConfig, output: Path, as_recordings: bool) -> None:
    """Write all scenes with a progress bar."""
    write = write_recordings if as_recordings else write_dataset
    with tqdm(total=config.scenes * config.frames, unit='frame', disable=None) as bar:
        for number, _ in enumerate(write(config, output, bar.update), start=1):
            # Scenes that an earlier run made report no frames.
            bar.update(number * config.frames - bar.n)
