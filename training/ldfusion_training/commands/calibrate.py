"""``ldfusion calibrate``: how thermal images are to be mapped into visible ones, from a recording or folders."""

from dataclasses import replace

from ldfusion_models.camera.registration import Registration
from ldfusion_models.camera.registration_file import read_registration, write_registration
from ldfusion_models.errors import InputError, naming
from ldfusion_models.rig.settings import NodeSettings
from ldfusion_training.bag_evaluation.settings import BagSettings, Topics
from ldfusion_training.calibration.estimate import calibrate
from ldfusion_training.calibration.pairs import RigPairs, pairs_of_folders, pairs_of_recording
from ldfusion_training.options.calibrate import Calibrate


def run_calibrate(options: Calibrate) -> int:
    """Estimate, print and write."""
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


def _read(options: Calibrate) -> RigPairs:
    if options.recording and not (options.visible or options.thermal):
        node = NodeSettings(sync_tolerance=options.sync_tolerance, clock_offset=options.clock_offset)
        topics = Topics(options.visible_topic, options.thermal_topic, 'none', 'none')
        return pairs_of_recording(options.recording, BagSettings(node, topics), options.pairs)
    if options.visible and options.thermal and not options.recording:
        return pairs_of_folders(options.visible, options.thermal, options.pairs)
    raise InputError('give a recording, or --visible and --thermal')
