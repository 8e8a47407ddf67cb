"""Places by names, and depth from stereo against a scene whose depth is known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.data.places import place_of
from ldfusion_training.data.stereo import open_right_images, stereo_depth

FOCAL, BASELINE = 200.0, 0.5


def textured_pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A wall 10 m away and a box before it at 5 m: left image, right image, depth."""
    generator = np.random.default_rng(0)
    texture = cv2.GaussianBlur(generator.uniform(0, 255, (120, 400)).astype(np.float32), (0, 0), 1.5)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    depth = np.full((120, 300), 10.0, np.float32)
    depth[40:90, 160:230] = 5.0
    left, right = texture[:, 50:350].copy(), texture[:, 60:360].copy()  # the wall moves 10 pixels
    box = texture[20:70, 300:370]
    left[40:90, 160:230], right[40:90, 140:210] = box, box  # the box 20
    return (*(np.repeat(image[..., None], 3, axis=2) for image in (left, right)), depth)


def test_frames_of_a_drive_are_one_place_and_single_pictures_their_own() -> None:
    assert place_of('drive0009_012') == place_of('drive0009_040') == 'drive0009'
    assert place_of('dgp01_camera_05_2') == 'dgp01_camera_05'
    assert place_of('object_000003') != place_of('object_000004')


def test_stereo_depth_is_that_of_the_scene_and_says_nothing_behind_edges() -> None:
    left, right, truth = textured_pair()
    depth = stereo_depth(left, right, FOCAL * BASELINE)
    known = np.isfinite(depth)
    assert known[:, 30:].mean() > 0.8  # further left the other camera sees nothing
    error = np.abs(depth / truth - 1)[known]
    assert np.median(error) < 0.02
    assert (error < 0.1).mean() > 0.97
    assert not np.isfinite(stereo_depth(left, np.full_like(right, 90), FOCAL * BASELINE)).mean() > 0.05


def test_right_images_find_their_baseline_and_errors_name_what_is_missing(tmp_path: Path) -> None:
    left, right, _ = textured_pair()
    write_image(tmp_path / 'drive1_000.png', right)
    (tmp_path / 'baseline_m.json').write_text(json.dumps({'drive1': BASELINE}))
    images = open_right_images(tmp_path)
    depth = images.depth('drive1_000', left, FOCAL)
    assert depth is not None
    np.testing.assert_array_equal(depth, stereo_depth(left, right, FOCAL * BASELINE))
    assert images.depth('drive1_001', left, FOCAL) is None
    with pytest.raises(InputError, match='size'):
        images.depth('drive1_000', left[:100], FOCAL)
    write_image(tmp_path / 'other_000.png', right)
    with pytest.raises(InputError, match='other_000'):
        open_right_images(tmp_path)
