"""``ldfusion calibrate``: how thermal images are to be mapped into visible ones, from a recording or folders."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from ldfusion_models.camera.registration import Registration
from ldfusion_models.camera.registration_file import read_registration, write_registration
from ldfusion_models.errors import InputError, naming

if TYPE_CHECKING:
    from ldfusion_training.calibration.pairs import RigPairs

METHODS = ('homography', 'shift')


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Estimate how thermal is mapped into visible.

    Estimates from many pairs of images, by their common edges, how the thermal image is to be mapped into the
    visible one, prints by how many pixels the images were apart and are then, and writes the file that fusion_node
    (registration_file) and ldfusion fuse (--registration) read.
    """

    recording: Path | None = field(default=None, kw_only=False)
    """rosbag2 recording"""
    output: Path
    """file to write"""
    visible: Path | None = None
    """folder of images instead of a recording"""
    thermal: Path | None = None
    """folder of images of the same names, 8 or 16 bits"""
    registration: Path | None = None
    """what is known already: a homography to refine, or cameras whose residual shift is estimated"""
    method: Literal['homography', 'shift'] | None = None
    """homography, or only a shift on top of --registration (default where that is by cameras)"""
    pairs: int = 60
    """pairs to use at most"""
    visible_topic: str = ''
    """of images, raw or compressed (found by name)"""
    thermal_topic: str = ''
    """of images, raw or compressed (found by name)"""
    sync_tolerance: float = 0.025
    """seconds that stamps of a pair may differ"""
    clock_offset: float = 0.0
    """seconds added to the thermal stamps"""


def run(options: Calibrate) -> int:
    """Estimate, print and write."""
    from ldfusion_training.calibration.estimate import calibrate

    if options.pairs < 2:
        raise InputError(f'--pairs {options.pairs}: at least 2 are needed')
    known = read_registration(options.registration) if options.registration else Registration()
    method = options.method or ('shift' if known.method == 'cameras' else 'homography')
    rig = _read(options)
    start = known.complete(rig.lenses.get('visible'), rig.lenses.get('thermal'), rig.thermal_T_visible)
    with naming(options.recording or options.visible):
        found = calibrate(rig.pairs, start, method, search=options.registration is None)
    # What the file left to camera_info and TF stays with them.
    written = replace(
        found.registration,
        visible=known.visible,
        thermal=known.thermal,
        thermal_T_visible=known.thermal_T_visible,
    )
    write_registration(options.output, written)
    print(
        f'{written.method} from {found.pairs} pairs: images were {found.before:.1f} pixels apart and are '
        f'{found.after:.1f} with {options.output} (median of {found.blocks} places)'
    )
    return 0


def _read(options: Calibrate) -> 'RigPairs':
    from ldfusion_models.rig.settings import NodeSettings
    from ldfusion_training.bag_evaluation.settings import BagSettings, Topics
    from ldfusion_training.calibration.pairs import pairs_of_folders, pairs_of_recording

    if options.recording and not (options.visible or options.thermal):
        node = NodeSettings(sync_tolerance=options.sync_tolerance, clock_offset=options.clock_offset)
        topics = Topics(options.visible_topic, options.thermal_topic, 'none', 'none')
        return pairs_of_recording(options.recording, BagSettings(node, topics), options.pairs)
    if options.visible and options.thermal and not options.recording:
        return pairs_of_folders(options.visible, options.thermal, options.pairs)
    raise InputError('give a recording, or --visible and --thermal')
