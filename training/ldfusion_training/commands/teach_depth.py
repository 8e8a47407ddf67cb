"""``ldfusion teach-depth``: depth that teachers see in images, as a data set to train on."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter
from tqdm import tqdm


@Parameter(name='*')
@dataclass(frozen=True, kw_only=True)
class TeachDepth:
    """Write what teachers see in every image, as a data set with depth.

    Writes OUTPUT/vi, OUTPUT/depth (16 bits, metres x 256) and OUTPUT/camera, and OUTPUT/ir where DATA has it. Cameras
    that are not known are taken to be canonical.
    """

    data: Path
    """folder with vi, and perhaps ir and camera"""
    teacher: tuple[Path, ...]
    """checkpoints of ldfusion train depth_teacher; of several, the mean"""
    output: Path
    """folder"""
    device: Literal['cpu', 'cuda'] = 'cpu'
    """where the teachers run"""


def run(options: TeachDepth) -> int:
    """Teach every image."""
    import numpy as np

    from ldfusion_models.camera.images import as_rgb8
    from ldfusion_models.camera.lens import Intrinsics
    from ldfusion_models.errors import naming
    from ldfusion_models.files import list_images, read_image, write_image
    from ldfusion_training.data.depth import depth_to_kitti, read_camera
    from ldfusion_training.report.tables import write_json
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
