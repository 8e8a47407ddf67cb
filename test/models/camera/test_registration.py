"""Registration against closed forms, OpenCV's own camera models, and the exact geometry of simulated rigs."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT

from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.registration import Registrar, Registration, as_matrix, thermal_pixels
from ldfusion_models.camera.registration_file import (
    FORMAT,
    VERSION,
    read_registration,
    registration_from,
    write_registration,
)
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image, write_image
from ldfusion_models.rig.pipeline import Pipeline
from ldfusion_training.cli import main

VISIBLE = Intrinsics(160, 120, 140.0, 142.0, 78.0, 61.0)
THERMAL = Intrinsics(80, 64, 60.0, 61.0, 40.5, 30.5)
PLUMB_BOB = (-0.25, 0.08, 0.001, -0.002, -0.01)
RATIONAL = (-0.2, 0.05, 0.001, -0.001, 0.01, 0.1, -0.02, 0.003)
EQUIDISTANT = (-0.02, 0.01, -0.003, 0.0005)
LENSES = {'plumb_bob': PLUMB_BOB, 'rational_polynomial': RATIONAL, 'equidistant': EQUIDISTANT}
Array = npt.NDArray[np.generic]


def moved(x: float, y: float = 0.0, z: float = 0.0, turn: tuple[float, float, float] = (0, 0, 0)) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array(turn, np.float64))[0]
    matrix[:3, 3] = x, y, z
    return matrix


def rig(extrinsic: Array, visible: Lens | None = None, thermal: Lens | None = None, **options: object) -> Registration:
    return Registration(
        'cameras',
        undistort=True,
        visible=visible or Lens(VISIBLE),
        thermal=thermal or Lens(THERMAL),
        thermal_T_visible=as_matrix(extrinsic),
        **options,
    )


def gradient_image(camera: Intrinsics) -> npt.NDArray[np.uint16]:
    """Every pixel tells where it is: 128 counts a pixel to the right, and as much in rows of another image."""
    return np.tile(np.arange(camera.width, dtype=np.uint16) * 128, (camera.height, 1))


@pytest.mark.parametrize('model', LENSES)
def test_points_are_projected_as_opencv_projects_them(model: str) -> None:
    lens = Lens(VISIBLE, model, LENSES[model])
    points = np.random.default_rng(0).uniform((-1, -0.8, 1), (1, 0.8, 3), (500, 3))
    matrix = np.array([[VISIBLE.fx, 0, VISIBLE.cx], [0, VISIBLE.fy, VISIBLE.cy], [0, 0, 1]])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    expected, _ = project(points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(LENSES[model]))
    assert np.allclose(lens.project(points.astype(np.float32)), expected[:, 0], atol=2e-3)


def test_what_a_lens_folds_back_or_has_behind_it_is_not_seen() -> None:
    lens = Lens(VISIBLE, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    # 1 - 3 * 0.3 r^2 = 0: beyond this radius, points move back towards the middle.
    turn = np.sqrt(1 / 0.9)
    points = np.array([[turn * 0.99, 0, 1], [turn * 1.01, 0, 1], [0, 0, -1], [0, 0, 0]], np.float32)
    assert np.isfinite(lens.project(points)).all(axis=-1).tolist() == [True, False, False, False]


def test_cameras_and_a_plane_are_the_homography_of_that_plane() -> None:
    """Closed form: K' (R + t n^T / d) K^-1 for the plane n = (0, 0, 1) at distance d."""
    extrinsic = moved(-0.2, 0.05, 0.03, turn=(0.02, -0.03, 0.01))
    registration = rig(extrinsic, distance=4.0)
    k, k_thermal = (np.array([[c.fx, 0, c.cx], [0, c.fy, c.cy], [0, 0, 1]]) for c in (VISIBLE, THERMAL))
    homography = k_thermal @ (extrinsic[:3, :3] + np.outer(extrinsic[:3, 3], (0, 0, 1)) / 4.0) @ np.linalg.inv(k)
    pixels = thermal_pixels(registration, 160, 120, 80, 64)
    same = Registration(
        'homography', visible_size=(160, 120), thermal_size=(80, 64), thermal_H_visible=as_matrix(homography)
    )
    assert np.allclose(pixels, thermal_pixels(same, 160, 120, 80, 64), atol=1e-3)
    x, y, w = homography @ (30, 90, 1)
    assert pixels[90, 30] == pytest.approx([x / w, y / w], abs=1e-3)


@pytest.mark.parametrize('size', [(160, 120), (320, 240), (161, 99)])
def test_images_of_another_size_than_the_calibration_are_taken_as_resized(size: tuple[int, int]) -> None:
    """The same point of the scene is found at any size: pixel centres lie at whole numbers."""
    registration = rig(moved(-0.1, turn=(0, 0.05, 0)), thermal_shift=(2.0, -1.0))
    pixels = thermal_pixels(registration, *size, 40, 32)
    reference = thermal_pixels(registration, 160, 120, 80, 64)
    centre = (np.array((80.5, 40.5)) + 0.5) * np.array(size) / (160, 120) - 0.5
    found = cv2.remap(pixels, *(np.full((1, 1), value, np.float32) for value in centre), cv2.INTER_LINEAR)[0, 0]
    expected = reference[40:42, 80:82].mean(axis=(0, 1))
    assert np.allclose((found + 0.5) * 2 - 0.5, expected, atol=0.02)


def test_a_residual_shift_moves_by_thermal_pixels() -> None:
    plain, shifted = rig(moved(-0.1)), rig(moved(-0.1), thermal_shift=(3.0, -2.0))
    difference = thermal_pixels(shifted, 160, 120, 80, 64) - thermal_pixels(plain, 160, 120, 80, 64)
    assert np.allclose(difference, (3.0, -2.0), atol=1e-4)


def test_none_resizes_as_opencv_does() -> None:
    thermal = np.random.default_rng(1).integers(0, 65536, (30, 40)).astype(np.uint16)
    visible = np.zeros((120, 160, 3), np.uint8)
    registered = Registrar(Registration())(visible, thermal)
    assert registered.coverage is None
    assert np.array_equal(registered.visible, visible)
    # Maps are exact to a 32nd of a pixel.
    difference = cv2.resize(thermal, (160, 120), interpolation=cv2.INTER_LINEAR).astype(int) - registered.thermal
    assert np.abs(difference).max() <= 65536 / 32


def test_undistorted_images_are_those_of_opencv() -> None:
    lens = Lens(VISIBLE, 'plumb_bob', PLUMB_BOB, rectified=replace(VISIBLE, fx=120.0, fy=121.0, cx=80.0))
    image = np.asarray(
        cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (120, 160, 3)).astype(np.uint8), (0, 0), 2)
    )
    registered = Registrar(Registration(undistort=True, visible=lens, thermal=lens))(image, image[..., 0].copy())
    k, new = (np.array([[c.fx, 0, c.cx], [0, c.fy, c.cy], [0, 0, 1]]) for c in (lens.camera, lens.pinhole))
    expected = cv2.undistort(image, k, np.array(PLUMB_BOB), None, new)
    difference = np.abs(registered.visible.astype(int) - expected)
    # OpenCV's own maps are exact to a 32nd of a pixel; what is black beyond the image makes a steep edge.
    assert difference.max() <= 255 / 32
    assert difference.mean() < 0.1
    assert registered.camera == lens.rectified
    # Both images went through one lens: they still show the same, but for half a pixel at the border.
    assert registered.coverage is not None
    inside = cv2.erode((registered.coverage > 0).astype(np.uint8), np.ones((3, 3)), borderValue=0) > 0
    assert np.abs(registered.visible[..., 0].astype(int) - registered.thermal)[inside].max() <= 2


def test_depth_replaces_the_plane() -> None:
    """A step in depth, 2 m beside 8 m: the parallax of each side is f * b / Z."""
    registration = rig(moved(-0.2), geometry='depth', distance=5.0)
    depth = np.full((120, 160), 8.0, np.float32)
    depth[:, :80] = 2.0
    depth[:40, :80] = np.nan
    registered = Registrar(registration)(np.zeros((120, 160), np.uint8), gradient_image(THERMAL), depth)
    for row, column, metres in ((60, 60, 2.0), (60, 120, 8.0), (10, 60, 5.0)):
        x = (column - VISIBLE.cx) / VISIBLE.fx - 0.2 / metres
        assert registered.thermal[row, column] / 128 == pytest.approx(x * THERMAL.fx + THERMAL.cx, abs=0.05)
    plane = Registrar(registration)(np.zeros((120, 160), np.uint8), gradient_image(THERMAL))
    uniform = np.full((120, 160), 5.0, np.float32)
    same = Registrar(registration)(np.zeros((120, 160), np.uint8), gradient_image(THERMAL), uniform)
    assert np.abs(plane.thermal.astype(int) - same.thermal).max() <= 5


def test_coverage_is_where_the_thermal_camera_sees() -> None:
    """A thermal camera with half the field of view covers the middle, and fades out towards its border."""
    narrow = Intrinsics(80, 60, 140.0, 140.0, 39.5, 29.5)
    wide = Intrinsics(160, 120, 140.0, 140.0, 79.5, 59.5)
    registered = Registrar(rig(np.eye(4), Lens(wide), Lens(narrow)))(
        np.zeros((120, 160), np.uint8), np.zeros((60, 80), np.uint8)
    )
    coverage = registered.coverage
    assert coverage is not None
    rows, columns = np.nonzero(coverage)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 89, 40, 119)
    assert coverage[60, 80] == 1
    assert np.abs(np.diff(coverage, axis=1)).max() < 0.3
    whole = Registrar(rig(np.eye(4), Lens(narrow), Lens(wide)))(
        np.zeros((60, 80), np.uint8), np.zeros((120, 160), np.uint8)
    )
    assert whole.coverage is None


@pytest.fixture(scope='module')
def pipeline() -> Pipeline:
    return Pipeline.load('onnxruntime', threads=1)


@pytest.mark.parametrize('inference_size', [0, 160])
def test_without_thermal_the_fused_image_is_the_visible_one_and_no_seam_shows(
    pipeline: Pipeline, inference_size: int
) -> None:
    """A hot thermal image over a dark even scene, the worst case: no step at the border of what it covers."""
    wide = Intrinsics(320, 96, 300.0, 300.0, 159.5, 47.5)
    narrow = Intrinsics(100, 96, 300.0, 300.0, 49.5, 47.5)
    visible = np.full((96, 320, 3), 40, np.uint8)
    thermal = np.full((96, 100), 220, np.uint8)
    pair = Registrar(rig(np.eye(4), Lens(wide), Lens(narrow)))(visible, thermal)
    fuse = Pipeline(pipeline.engine, inference_size=inference_size)
    fused = fuse(pair.visible, pair.thermal, coverage=pair.coverage).fused.astype(int)
    assert np.array_equal(fused[:, :110], visible[:, :110])
    assert np.array_equal(fused[:, 210:], visible[:, 210:])
    contrast = fused[48, 160].mean() - 40
    shown = np.abs(fused[:, 112:208] - visible[:, 112:208]).mean(axis=(0, 2))
    assert (np.diff(shown[:48]) > -3).all(), 'brightness rises inwards'
    assert contrast > 60, 'the thermal image must show where it is seen'
    steps = np.abs(np.diff(fused.mean(axis=2), axis=1))
    assert steps.max() < 3 * contrast / (0.05 * 320), 'steeper than a ramp over the border that fades out'


def test_counts_outside_of_the_coverage_have_no_say_in_the_gain(pipeline: Pipeline) -> None:
    visible = np.full((64, 96, 3), 90, np.uint8)
    counts = np.random.default_rng(3).integers(29000, 31000, (64, 96)).astype(np.uint16)
    coverage = np.zeros((64, 96), np.float32)
    coverage[:, :48] = 1
    hot = counts.copy()
    hot[:, 48:] = 60000
    first, second = (Pipeline(pipeline.engine)(visible, image, coverage=coverage).fused for image in (counts, hot))
    assert np.abs(first.astype(int) - second).max() <= 1


def test_simulated_cameras_side_by_side_are_brought_together() -> None:
    """Exact truth: a thermal camera 0.3 m beside, through other lenses, against one in the visible camera's place."""
    pytest.importorskip('embreex', reason='needs the simulation: pip install .[simulation]')
    from ldfusion_training.simulation.config import SimulationConfig
    from ldfusion_training.simulation.scene import Rig, draw_scene

    together = SimulationConfig(
        seed=3, scenes=1, frames=1, width=160, height=120, kinds=('corridor',), lights=('day',), weathers=('clear',)
    )
    distortion = (-0.15, 0.03, 0.001, -0.001, 0.0)
    apart = replace(
        together,
        baseline_m=0.3,
        thermal_field_of_view=50.0,
        distortion=distortion,
    )
    scene = draw_scene(apart, 0)
    frame, truth = (Rig(config, draw_scene(config, 0)).frame(0) for config in (apart, together))
    registration = rig(
        scene.thermal_T_visible,
        Lens(scene.visible, 'plumb_bob', distortion),
        Lens(scene.thermal),
        geometry='depth',
        distance=5.0,
    )
    pixels = thermal_pixels(registration, 160, 120, 160, 120, truth.depth)
    # On a plane, inverse depth is linear in the image; along parallel axes, depth is the same for both cameras, but for
    # edges, and for walls that one of them doesn't see.
    inverse = cv2.remap(1 / frame.depth_thermal, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    inside = ((pixels > 1) & (pixels < (158, 118))).all(axis=-1) & np.isfinite(truth.depth)
    off = np.abs(inverse * truth.depth - 1)[inside]
    assert np.median(off) < 1e-3, 'OpenCV 4 interpolates at a 32nd of a pixel'
    assert np.mean(off < 0.01) > 0.85

    def kelvin_off(registration: Registration) -> float:
        pair = Registrar(registration)(frame.visible, frame.thermal_raw, truth.depth)
        return float(np.abs(pair.thermal.astype(float) - truth.thermal_raw)[inside].mean() * 0.01)

    with_depth, with_plane = kelvin_off(registration), kelvin_off(replace(registration, geometry='plane'))
    assert with_depth < 0.7 * with_plane < 0.7 * kelvin_off(Registration())
    undistorted = Registrar(registration)(frame.visible, frame.thermal_raw).visible
    levels = [np.abs(image.astype(int) - truth.visible).mean() for image in (undistorted, frame.visible)]
    assert levels[0] < 0.7 * levels[1]


def make_registrations() -> dict[str, Registration]:
    fisheye = Lens(THERMAL, 'equidistant', EQUIDISTANT, rectified=replace(THERMAL, fx=50.0))
    homography = ((0.5, 0.01, 3.0), (0.0, 0.5, 2.0), (0.0, 1e-5, 1.0))
    return {
        'none': Registration(),
        'homography': Registration(
            'homography', visible_size=(160, 120), thermal_size=(80, 64), thermal_H_visible=homography
        ),
        'cameras': rig(
            moved(-0.1, turn=(0.1, 0.2, 0.3)),
            Lens(VISIBLE, 'plumb_bob', PLUMB_BOB),
            fisheye,
            geometry='depth',
            distance=3.0,
            thermal_shift=(1.5, 0.0),
        ),
        'cameras to be told': Registration('cameras', undistort=True, distance=7.0),
        'ranges': Registration(
            visible_T_ranges={'lidar': as_matrix(moved(0.2, turn=(0.1, 0.2, 0.3))), 'sonar': as_matrix(moved(-0.2))}
        ),
    }


@pytest.mark.parametrize('name', make_registrations())
def test_files_are_read_as_written(name: str, tmp_path: Path) -> None:
    registration = make_registrations()[name]
    write_registration(tmp_path / 'registration.yaml', registration)
    assert read_registration(tmp_path / 'registration.yaml') == registration


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'method': 'magic'}, "method 'magic': choose one of none, homography, cameras"),
        ({'thermal_H_visble': 1}, "unknown key 'thermal_H_visble'"),
        ({'thermal_H_visible': [[1, 0, 0], [0, 1, 0], [0, 0, 0]]}, 'cannot be inverted'),
        ({'thermal_H_visible': [[1, 0], [0, 1]]}, 'thermal_H_visible: a list of 3 rows'),
        ({'thermal_H_visible': [[1, 0, 'x'], [0, 1, 0], [0, 0, 1]]}, '3 finite numbers'),
        ({'thermal_H_visible': [[1, 0, 10**400], [0, 1, 0], [0, 0, 1]]}, '3 finite numbers'),
        ({'visible_size': [160.5, 120]}, 'visible_size: .*two whole numbers'),
        ({'distance': -1}, 'distance -1.0: metres above 0'),
        ({'undistort': 'yes please'}, 'undistort: .*true or false'),
        ({'method': 'cameras', 'undistort': False}, 'leave undistort out'),
        ({'thermal_T_visible': (2 * np.eye(4)).tolist()}, 'no rigid transform'),
        ({'visible': {'width': 3}}, 'visible: a camera is width, height'),
        ({'visible_T_ranges': {'lidar': (2 * np.eye(4)).tolist()}}, 'visible_T_ranges of lidar is no rigid transform'),
        ({'visible_T_ranges': {'lidar': [[1, 0, 0]]}}, 'visible_T_ranges: lidar: a list of 4 rows'),
        ({'visible_T_ranges': np.eye(4).tolist()}, 'for each frame, by its name'),
        ({'version': 2}, 'version: 1'),
    ],
)
def test_files_that_cannot_be_are_refused_in_words(change: dict[str, object], words: str, tmp_path: Path) -> None:
    file = tmp_path / 'registration.yaml'
    write_registration(file, make_registrations()['homography'])
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    with pytest.raises(InputError, match=words) as caught:
        read_registration(file)
    assert str(file) in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ['format', 'version', 'method', 'visible', 'thermal_T_visible', 'thermal_shift', 'width']
                ),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_random_content_is_refused_in_words(content: object) -> None:
    values = {**content, 'format': FORMAT, 'version': VERSION} if isinstance(content, dict) else content
    try:
        registration_from(values)
    except InputError as error:
        assert str(error)


def wild(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high) | st.sampled_from([low, 0.0, high])


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*[st.integers(1, 40)] * 4),
    st.sampled_from([*LENSES]),
    st.lists(wild(-50, 50), min_size=8, max_size=8),
    st.tuples(*[wild(-4, 4)] * 6),
    st.sampled_from([1e-3, 1.0, 1e6]),
    st.sampled_from(['depth', 'plane']),
)
def test_any_calibration_gives_an_image_and_weights(
    sizes: tuple[int, ...],
    model: str,
    coefficients: list[float],
    pose: tuple[float, ...],
    focal: float,
    geometry: str,
) -> None:
    """Nonsense in camera_info or TF must not end a node."""
    width, height, thermal_width, thermal_height = sizes
    lens = Lens(
        Intrinsics(thermal_width, thermal_height, focal, focal, 3.0, 1e5),
        model,
        tuple(coefficients[: len(LENSES[model])]),
    )
    registration = rig(
        moved(*pose[:3], turn=pose[3:]), Lens(VISIBLE, model, lens.coefficients), lens, geometry=geometry
    )
    depth = np.full((height, width), np.nan, np.float32)
    depth[::2] = 1e-6
    with np.errstate(all='ignore'):
        pair = Registrar(registration)(
            np.zeros((height, width, 3), np.uint8), np.ones((thermal_height, thermal_width), np.uint16), depth
        )
    assert (pair.visible.shape, pair.thermal.shape) == ((height, width, 3), (height, width))
    assert (pair.thermal == 1).all()
    if pair.coverage is not None:
        assert (pair.coverage >= 0).all()
        assert (pair.coverage <= 1).all()


def test_what_is_missing_is_named() -> None:
    registration = Registration('cameras', undistort=True)
    assert registration.missing() == ['visible camera', 'thermal camera', 'thermal_T_visible']
    with pytest.raises(InputError, match='lacks visible camera and thermal camera and thermal_T_visible'):
        Registrar(registration)
    complete = registration.complete(Lens(VISIBLE), Lens(THERMAL), as_matrix(np.eye(4)))
    assert complete.missing() == []
    other = Lens(replace(VISIBLE, fx=1.0))
    assert complete.complete(visible=other).visible == Lens(VISIBLE), 'the file wins'


def test_files_are_fused_as_registered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file, a thermal image that was moved gives what the one in its place gives, where both are seen."""
    generator = np.random.default_rng(5)
    visible, thermal = (
        np.asarray(cv2.GaussianBlur(generator.integers(0, 256, (96, 128, 3)).astype(np.uint8), (0, 0), 4), np.uint8)
        for _ in range(2)
    )
    moved_thermal = np.roll(thermal[..., 0], -12, axis=1)
    for name, image in (('visible', visible), ('aligned', thermal[..., 0].copy()), ('moved', moved_thermal)):
        write_image(tmp_path / f'{name}.png', image)
    homography = ((1.0, 0.0, -12.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    file = tmp_path / 'registration.yaml'
    write_registration(file, Registration('homography', False, None, None, (128, 96), (128, 96), homography))

    def fuse(thermal: str, output: str, *options: str) -> int:
        arguments = ['--visible', tmp_path / 'visible.png', '--thermal', tmp_path / f'{thermal}.png', *options]
        return main(['fuse', *map(str, arguments), '--engine', 'onnxruntime', '--output', str(tmp_path / output)])

    assert fuse('aligned', 'expected') == 0
    assert fuse('moved', 'found', '--registration', str(file)) == 0
    expected, found = (
        read_image(tmp_path / name / 'fused' / 'visible.png').astype(int) for name in ('expected', 'found')
    )
    assert np.array_equal(found[:, :12], visible[:, :12])
    assert np.abs(found - expected)[:, 40:].max() <= 3
    write_registration(file, Registration('cameras', True, geometry='depth'))
    assert fuse('moved', 'refused', '--registration', str(file)) == 2
    assert f'{file}: registration by cameras lacks visible camera' in capsys.readouterr().err
    camera = Intrinsics(128, 96, 100.0, 100.0, 63.5, 47.5)
    write_registration(file, rig(moved(-0.1), Lens(camera), Lens(camera), geometry='depth'))
    assert fuse('moved', 'by_depth', '--registration', str(file)) == 0


def test_the_documented_file_is_one() -> None:
    page = (ROOT / 'docs' / 'registration.md').read_text()
    registration = registration_from(yaml.safe_load(page.split('```yaml')[1].split('```')[0]))
    assert registration.missing() == []
    assert Registrar(registration)(np.zeros((480, 640), np.uint8), np.zeros((256, 320), np.uint8)).coverage is not None


def test_ranges_are_placed_in_either_camera() -> None:
    """A point of the sensor, by hand: 0.3 m right of the visible camera, which is 0.1 m left of the thermal one."""
    known = Registration(visible_T_ranges={'lidar': as_matrix(moved(0.3))}, thermal_T_visible=as_matrix(moved(-0.1)))
    for camera, x in (('visible', 1.3), ('thermal', 1.2)):
        matrix = known.ranges_to(camera, '/lidar')
        assert matrix is not None
        assert np.array(matrix) @ (1.0, 2.0, 3.0, 1.0) == pytest.approx((x, 2.0, 3.0, 1.0))
    assert known.ranges_to('visible', 'sonar') is None
    assert replace(known, thermal_T_visible=None).ranges_to('thermal', 'lidar') is None
