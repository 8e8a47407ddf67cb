"""``ldfusion fuse``: image files or folders of pairs to fused images and depth."""

import argparse
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.images import MINIMUM_SIZE, AnyImage
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.thermal import GAIN_MODES
from ldfusion_models.engines import ENGINES, create_engine
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import depth_to_millimetres, match_pairs, read_image, write_image
from ldfusion_models.language.guidance import embedding_for
from ldfusion_models.rig.rig import Rig, Shot, pipeline_of
from ldfusion_models.rig.settings import RigSettings
from ldfusion_models.rig.upsampling import ENLARGEMENTS
from ldfusion_training.commands import Subparsers, positive_number
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
    settings = RigSettings(
        inference_size=arguments.inference_size,
        enlargement=arguments.enlargement,
        registration_file=str(arguments.registration or ''),
        thermal_gain=arguments.thermal_gain,
    )
    engine = create_engine(arguments.engine)
    rig = Rig(pipeline_of(engine, settings), settings, is_video=False)
    text = None if arguments.prompt is None else embedding_for(arguments.prompt, engine.info)
    summary = RunSummary()
    for visible_path, thermal_path in tqdm(pairs, unit='pair', disable=None):
        shot = _shot(read_image(visible_path), read_image(thermal_path), arguments.fx)
        with naming(visible_path), summary.timed(*shot.size):
            frame = rig(shot, text)
        if rig.registration_problem:
            raise InputError(f'{arguments.registration}: {rig.registration_problem}')
        name = f'{visible_path.stem}.png'
        write_image(arguments.output / 'fused' / name, frame.fused)
        write_image(arguments.output / 'depth' / name, depth_to_millimetres(frame.depth))
        if arguments.clouds:
            sheet = cloud_sheet(frame.fused, frame.depth, arguments.fx or engine.info.canonical_focal)
            write_image(arguments.output / 'cloud' / name, sheet)
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


def _shot(visible: AnyImage, thermal: AnyImage, focal: float | None) -> Shot:
    if focal is None:
        return Shot(visible, thermal)
    height, width = visible.shape[:2]
    camera = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return Shot(visible, thermal, {'visible': Calibration(camera)})


def _inference_size(text: str) -> int:
    if not text.isdecimal() or int(text) < MINIMUM_SIZE:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from {MINIMUM_SIZE}')
    return int(text)
