"""``ldfusion depth`` and ``teach-depth``: images of one modality to metric depth, by a branch or by teachers."""

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ldfusion_models.camera.images import AnyImage, as_rgb8
from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.depth_files import Depth as Values
from ldfusion_models.depth_files import write_depth
from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import list_images, read_image, write_image
from ldfusion_models.rig.depth_estimator import DepthEstimator
from ldfusion_training.data.depth import depth_to_kitti, read_camera
from ldfusion_training.options.depth import Depth, TeachDepth
from ldfusion_training.report.run_summary import RunSummary
from ldfusion_training.report.tables import write_json

if TYPE_CHECKING:
    from ldfusion_models.networks.published_depth import PublishedEstimator


def run_depth(options: Depth) -> int:
    """Estimate the depth of every image."""
    images = list_images(options.image)
    branch = 'thermal' if options.branch == 'infrared' else options.branch
    estimator = load_estimator(branch, options.model)
    summary = RunSummary()
    for path in tqdm(images, unit='image', disable=None):
        image = read_image(path)
        with naming(path), summary.timed(image.shape[1], image.shape[0]):
            depth = _sure_depth(estimator, image, options)
        write_depth(options.output / 'depth', path.stem, depth, options.depth_format, options.depth_units)
    summary.write(options.output / 'summary.json', branch=branch, model=options.model, focal_length_px=options.fx)
    print(f'{len(images)} depth maps in {options.output}')
    return 0


def _sure_depth(estimator: 'DepthEstimator | PublishedEstimator', image: AnyImage, options: Depth) -> Values:
    if options.minimum_confidence <= 0:
        return estimator(image, options.fx)
    if not isinstance(estimator, DepthEstimator):
        raise InputError(f'--minimum-confidence: {options.model} does not say how sure it is; leave it out')
    depth, deviation = estimator.with_deviation(image, options.fx)
    return np.where(np.exp(-deviation) >= options.minimum_confidence, depth, np.float32(np.nan))


def run_teach_depth(options: TeachDepth) -> int:
    """Teach every image."""
    from ldfusion_training.stages.depth_teacher import load_teacher
    from ldfusion_training.teacher.estimator import TeacherEstimator

    estimator = TeacherEstimator([load_teacher(path) for path in options.teacher], options.device)
    images = list_images(options.data / 'vi')
    thermal = {path.stem: path for path in list_images(options.data / 'ir')} if (options.data / 'ir').is_dir() else {}
    for path in tqdm(images, unit='image', disable=None):
        with naming(path):
            image = as_rgb8(read_image(path))
            height, width = image.shape[:2]
            file = options.data / 'camera' / f'{path.stem}.json'
            canonical = Intrinsics(width, height, estimator.focal, estimator.focal, (width - 1) / 2, (height - 1) / 2)
            camera = read_camera(file) if file.is_file() else canonical
            log_depth, _ = estimator(image, (camera.cx, camera.cy))
        depth = np.exp(log_depth) * np.float32(camera.fx / estimator.focal)
        write_image(options.output / 'depth' / f'{path.stem}.png', depth_to_kitti(depth))
        write_json(options.output / 'camera' / f'{path.stem}.json', asdict(camera))
        for source, folder in ((path, 'vi'), (thermal.get(path.stem), 'ir')):
            if source:
                (options.output / folder).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, options.output / folder / source.name)
    print(f'{len(images)} images with depth in {options.output}')
    return 0


def load_estimator(branch: str, model: str | None) -> 'DepthEstimator | PublishedEstimator':
    """The package's own branch, or a published model; raises InputError."""
    if model is None:
        return DepthEstimator.load(branch)
    from ldfusion_models.networks.published_depth import PublishedDepth, PublishedEstimator

    return PublishedEstimator(PublishedDepth.load(model), branch)
