"""``ldfusion make-bag``: folders of image pairs to a rosbag2 recording."""

from tqdm import tqdm

from ldfusion_models.files import match_pairs
from ldfusion_training.options.make_bag import MakeBag
from ldfusion_training.recordings.pair_recording import RecordingConfig, record_pairs


def run_make_bag(options: MakeBag) -> int:
    """Record every pair."""
    pairs = match_pairs(options.visible, options.thermal)
    config = RecordingConfig(options.rate, options.fov, options.size)
    record_pairs(tqdm(pairs, unit='pair', disable=None), options.recording, config)
    print(f'{len(pairs)} pairs in {options.recording}')
    return 0
