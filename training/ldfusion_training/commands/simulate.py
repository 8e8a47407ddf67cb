"""``ldfusion simulate``: made RGB-thermal-depth scenes."""

import json
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.commands.options import Size
from ldfusion_training.simulation.config import SimulationConfig


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Make RGB-thermal-depth scenes with exact depth and descriptions.

    Makes drives and walks of a visible and a thermal camera, and writes them with exact depth, instances, poses and
    descriptions. The same seed makes the same bytes. A rerun goes on where one stopped.
    """

    output: Path | None = None
    """folder for the scenes"""
    preview: Path | None = None
    """a sheet with the first frame of each scene"""
    benchmark: bool = False
    """print frames per second and core as JSON"""
    bag: bool = False
    """write each scene as a rosbag2 recording (MCAP)"""
    scenes: int = 6
    """number of scenes"""
    frames: int = 20
    """frames in each scene"""
    seed: int = 0
    """start of all random choices"""
    rate: float = 10.0
    """frames per second"""
    kinds: tuple[str, ...] = ('street', 'parking_lot', 'campus_path', 'warehouse_aisle', 'corridor', 'tunnel')
    """of street, parking_lot, campus_path, warehouse_aisle, corridor, tunnel"""
    lights: tuple[str, ...] = ('day', 'dusk', 'night')
    """of day, dusk, night"""
    weathers: tuple[str, ...] = ('clear', 'overcast', 'fog', 'smoke')
    """of clear, overcast, fog, smoke"""
    size: Size = (640, 480)
    """visible image (640x480)"""
    field_of_view: float = 60.0
    """horizontal, in degrees"""
    robot_cameras: bool = False
    """another field of view, height, pitch and roll in every scene, as robots have"""
    baseline: float = 0.0
    """metres by which the thermal camera is to the right; 0: both images are aligned"""
    thermal_size: Size | None = None
    """thermal image; needs a baseline"""
    thermal_field_of_view: float | None = None
    """in degrees; needs a baseline"""
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """k1 k2 p1 p2 k3 of the lenses"""


DEFAULTS = Simulate()


def run(options: Simulate = DEFAULTS) -> int:
    """Make what was asked for."""
    if not (options.output or options.preview or options.benchmark):
        raise InputError('nothing to make: give --output FOLDER, --preview PNG or --benchmark')
    config = config_from(options)
    if options.preview:
        from ldfusion_training.simulation.preview import preview

        write_image(options.preview, preview(config))
    if options.benchmark:
        from ldfusion_training.simulation.benchmark import benchmark

        print(json.dumps(benchmark(config), indent=2))
    if options.output:
        write_scenes(config, options.output, as_recordings=options.bag)
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
    from tqdm import tqdm

    from ldfusion_training.simulation.dataset import write_dataset, write_recordings

    write = write_recordings if as_recordings else write_dataset
    with tqdm(total=config.scenes * config.frames, unit='frame', disable=None) as bar:
        for number, _ in enumerate(write(config, output, bar.update), start=1):
            # Scenes that an earlier run made report no frames.
            bar.update(number * config.frames - bar.n)
