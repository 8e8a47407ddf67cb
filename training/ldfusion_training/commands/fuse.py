"""``ldfusion fuse``: image files or folders of pairs to fused images and depth."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.images import AnyImage
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.camera.registration import Registration
from ldfusion_models.depth_files import write_depth
from ldfusion_models.engines import create_engine
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import match_pairs, read_image, write_image
from ldfusion_models.language.guidance import prompt_for
from ldfusion_models.rig.measured import Measured, MeasuredPoints
from ldfusion_models.rig.references import References
from ldfusion_models.rig.rig import Rig, Shot, pipeline_of
from ldfusion_models.rig.settings import NodeSettings, RigSettings
from ldfusion_models.shown import one_line
from ldfusion_training.data.depth import FLOAT_ENDINGS, read_depth
from ldfusion_training.data.lidar import SCAN_SUFFIXES, read_scan
from ldfusion_training.options.fuse import Fuse
from ldfusion_training.report.cloud_sheet import cloud_sheet
from ldfusion_training.report.run_summary import RunSummary

REFERENCE_ENDINGS = ('.png', *FLOAT_ENDINGS)


def run_fuse(options: Fuse) -> int:
    """Fuse every pair."""
    pairs = match_pairs(options.visible, options.thermal)
    settings = RigSettings(
        inference_size=options.inference_size,
        enlargement=options.enlargement,
        registration_file=str(options.registration or ''),
        thermal_gain=options.thermal_gain,
        camera_height=options.camera_height,
        minimum_confidence=options.minimum_confidence,
    )
    references = None
    if options.references is not None:
        endings = SCAN_SUFFIXES if options.references_frame else REFERENCE_ENDINGS
        references = _references_by_name(options.references, pairs[0][0], endings)
    networks = NodeSettings(depth=options.depth, weights=str(options.weights or ''), text_encoder=options.text_encoder)
    engine = create_engine(options.engine, networks.weights_folder)
    rig = Rig(pipeline_of(engine, settings), settings, is_video=False)
    text = None
    if options.prompt is not None:
        prompt, text = prompt_for(options.prompt, engine.info, options.text_encoder)
        if prompt.ignored:
            print(f'ldfusion: prompt: {one_line("; ".join(prompt.ignored))}', file=sys.stderr)
    summary = RunSummary()
    uncorrected: list[str] = []
    for visible_path, thermal_path in tqdm(pairs, unit='pair', disable=None):
        shot = shot_of(read_image(visible_path), read_image(thermal_path), options.fx)
        if references is not None:
            shot = replace(shot, measured=[_read_references(references, visible_path, options, rig.asked)])
        with naming(visible_path), summary.timed(*shot.size):
            frame = rig(shot, text)
        if rig.correction_problem:
            uncorrected.append(f'{visible_path}: depth is not corrected: {rig.correction_problem}')
        if rig.registration_problem:
            raise InputError(f'{options.registration}: {rig.registration_problem}')
        name = visible_path.stem
        write_image(options.output / 'fused' / f'{name}.png', frame.fused)
        write_depth(options.output / 'depth', name, frame.depth, options.depth_format, options.depth_units)
        if options.clouds:
            sheet = cloud_sheet(frame, engine.info.canonical_focal or frame.depth.shape[1])
            write_image(options.output / 'cloud' / f'{name}.png', sheet)
    if len(uncorrected) == len(pairs):
        raise InputError(uncorrected[0])
    for note in (*rig.thermal_notes.values(), *uncorrected):
        print(one_line(f'ldfusion: {note}'), file=sys.stderr)
    summary.write(
        options.output / 'summary.json',
        engine=engine.name,
        device=engine.device,
        weights=engine.info.weights_id,
        focal_length_px=options.fx,
        prompt=options.prompt,
    )
    print(f'{len(pairs)} fused images and depth maps in {options.output}')
    return 1 if uncorrected else 0


def _references_by_name(path: Path, visible: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Files of measured depth by the name of their image; a single file is that of the first image."""
    if path.is_file():
        return {visible.stem: path}
    found = {file.stem: file for file in sorted(path.glob('*')) if file.suffix in endings}
    if not found:
        raise InputError(f'{path}: no measured depth in it ({", ".join(endings)})')
    return found


def _read_references(
    by_name: Mapping[str, Path], visible: Path, options: Fuse, registration: Registration | None
) -> Measured:
    try:
        path = by_name[visible.stem]
    except KeyError as error:
        raise InputError(f'{visible}: no references of that name') from error
    frame = options.references_frame
    if not frame:
        return References.of_map(read_depth(path, options.references_units), path.name)
    matrix = None if registration is None else registration.ranges_to('visible', frame)
    if matrix is None:
        raise InputError(f'--references-frame {frame}: visible_T_ranges of a --registration file must say where it is')
    return MeasuredPoints(read_scan(path), path.name).moved(matrix)


def shot_of(visible: AnyImage, thermal: AnyImage, focal: float | None) -> Shot:
    """A pair of images; ``focal`` in pixels is that of the visible camera, with its optical axis in the middle."""
    if focal is None:
        return Shot(visible, thermal)
    height, width = visible.shape[:2]
    camera = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return Shot(visible, thermal, {'visible': Calibration(camera)})
