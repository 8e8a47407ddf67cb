"""``ldfusion fuse``: image files or folders of pairs to fused images and depth."""

import argparse
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.camera.images import MINIMUM_SIZE
from ldfusion_models.camera.registration import Registrar
from ldfusion_models.camera.registration_file import read_registration
from ldfusion_models.camera.thermal import GAIN_MODES, GainConfig, GainControl
from ldfusion_models.engines import ENGINES, create_engine
from ldfusion_models.errors import naming
from ldfusion_models.files import depth_to_millimetres, match_pairs, read_image, write_image
from ldfusion_models.language.guidance import embedding_for
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_models.rig.upsampling import ENLARGEMENTS
from ldfusion_training.commands import Subparsers, positive_number
from ldfusion_training.pair_fusion import fuse_pair
from ldfusion_training.report.cloud_sheet import cloud_sheet
from ldfusion_training.report.run_summary import RunSummary


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'fuse',
        help='fuse pairs of images',
        description='Writes OUTPUT/fused/NAME.png, OUTPUT/depth/NAME.png (16 bits, millimetres, 0 = unknown or beyond '
        '65.5 m) and OUTPUT/summary.json. Folders are paired by file name.',
    )
    parser.add_argument('--visible', type=Path, required=True, help='image or folder')
    parser.add_argument('--thermal', type=Path, required=True, help='image or folder, 8 or 16 bits')
    parser.add_argument('--output', type=Path, required=True, help='folder')
    parser.add_argument('--engine', choices=('auto', *ENGINES), default='auto')
    parser.add_argument(
        '--registration',
        type=Path,
        metavar='YAML',
        help='how thermal is mapped into visible, as ldfusion calibrate writes it; without, they are taken as aligned',
    )
    parser.add_argument(
        '--thermal-gain', choices=GAIN_MODES, default=GAIN_MODES[0], help='of 16-bit thermal images (%(default)s)'
    )
    parser.add_argument(
        '--inference-size',
        type=_inference_size,
        default=0,
        metavar='PX',
        help='images with a longer side are reduced to this many pixels for the networks (none are)',
    )
    parser.add_argument(
        '--enlargement',
        choices=ENLARGEMENTS,
        default=ENLARGEMENTS[0],
        help='how depth of reduced images comes to their size (%(default)s); none leaves all results reduced',
    )
    parser.add_argument(
        '--clouds',
        action='store_true',
        help='also write OUTPUT/cloud/NAME.png: the point cloud from above and the side',
    )
    parser.add_argument('--fx', type=positive_number, metavar='PX', help='focal length of the visible images')
    parser.add_argument('--prompt', metavar='TEXT', help='what matters, in English, such as "people behind the smoke"')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fuse every pair."""
    pairs = match_pairs(arguments.visible, arguments.thermal)
    registrar = _registrar(arguments.registration)
    # Files are no video: each thermal image gets its own gain.
    gain = GainControl(GainConfig(smoothing=0.0, mode=arguments.thermal_gain))
    pipeline = Pipeline(create_engine(arguments.engine), gain, arguments.inference_size, arguments.enlargement)
    text = None if arguments.prompt is None else embedding_for(arguments.prompt, pipeline.engine.info)
    summary = RunSummary()
    for visible_path, thermal_path in tqdm(pairs, unit='pair', disable=None):
        visible, thermal = read_image(visible_path), read_image(thermal_path)
        with naming(visible_path), summary.timed(visible.shape[1], visible.shape[0]):
            result = fuse_pair(pipeline, registrar, visible, thermal, arguments.fx, text)
        name = f'{visible_path.stem}.png'
        write_image(arguments.output / 'fused' / name, result.fused)
        write_image(arguments.output / 'depth' / name, depth_to_millimetres(result.depth))
        if arguments.clouds:
            write_image(
                arguments.output / 'cloud' / name,
                cloud_sheet(result, arguments.fx or pipeline.engine.info.canonical_focal),
            )
    engine = pipeline.engine
    summary.write(
        arguments.output / 'summary.json',
        engine=engine.name,
        device=engine.device,
        weights=engine.info.weights_id,
        focal_length_px=arguments.fx,
        prompt=arguments.prompt,
    )
    print(f'{len(pairs)} fused images and depth maps in {arguments.output}')
    return 0


def _registrar(file: Path | None) -> Registrar | None:
    if file is None:
        return None
    with naming(file):
        return Registrar(read_registration(file))


def _inference_size(text: str) -> int:
    if not text.isdecimal() or int(text) < MINIMUM_SIZE:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from {MINIMUM_SIZE}')
    return int(text)
