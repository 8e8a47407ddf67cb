"""Depth corrected by measurements: held to made depth whose error is known."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from ldfusion_models.camera.lens import Intrinsics, rays
from ldfusion_models.errors import InputError
from ldfusion_models.rig.ground import find_ground, ground_references, height_above
from ldfusion_models.rig.references import Corrector, References

WIDTH, HEIGHT = 160, 120
CAMERA = Intrinsics(WIDTH, HEIGHT, 130.0, 130.0, 79.5, 59.5)
Map = npt.NDArray[np.float32]


def street(height: float = 1.5, pitch: float = 0.0, wall: float = 20.0) -> Map:
    """Flat ground ``height`` below a camera that looks ``pitch`` degrees down, and a wall."""
    angle = np.radians(pitch)
    fall = rays(CAMERA)[..., 1] * np.cos(angle) + np.sin(angle)
    return np.where(fall > height / wall, height / np.maximum(fall, 1e-6), wall).astype(np.float32)


def some(depth: Map, count: int = 60, seed: int = 0) -> References:
    sparse = np.full(depth.shape, np.nan, np.float32)
    chosen = np.random.default_rng(seed).choice(depth.size, count, replace=False)
    sparse.flat[chosen] = depth.flat[chosen]
    return References.of_map(sparse, 'laser')


def error(depth: Map, truth: Map) -> float:
    return float(np.mean(np.abs(depth / truth - 1)))


@pytest.mark.parametrize('factor', [0.5, 1.7])
def test_a_wrong_scale_is_mended_everywhere(factor: float) -> None:
    truth = street()
    correction = Corrector()(truth * np.float32(factor), some(truth))
    assert error(correction.depth, truth) < 0.01
    assert correction.scale == pytest.approx(1 / factor, rel=0.01)
    assert correction.used == 60


def test_depth_that_grows_too_slowly_is_mended() -> None:
    truth = street()
    estimate = (4.0 * (truth / 4.0) ** 0.8).astype(np.float32)
    assert error(estimate, truth) > 0.1
    assert error(Corrector()(estimate, some(truth)).depth, truth) < 0.03


def test_an_error_that_changes_over_the_image_is_mended_too() -> None:
    truth = street()
    bent = np.exp(0.3 * np.cos(np.arange(WIDTH) / WIDTH * 2 * np.pi)).astype(np.float32)
    estimate = truth * bent
    assert error(Corrector()(estimate, some(truth, 200)).depth, truth) < error(estimate, truth) / 3


def test_what_is_measured_on_a_thing_does_not_move_what_lies_behind() -> None:
    truth = np.full((HEIGHT, WIDTH), 20.0, np.float32)
    truth[40:80, 60:100] = 4.0
    estimate = truth.copy()
    estimate[40:80, 60:100] = 5.0
    corrected = Corrector()(estimate, some(truth, 400)).depth
    assert np.abs(corrected[45:75, 65:95] / 4.0 - 1).max() < 0.05
    ring = np.zeros(truth.shape, bool)
    ring[36:84, 56:104] = True
    ring[39:81, 59:101] = False
    assert np.abs(corrected[ring] / 20.0 - 1).max() < 0.02


def test_a_third_of_wrong_points_is_outvoted() -> None:
    truth = street()
    references = some(truth, 90)
    references.depth[::3] *= 6
    assert error(Corrector()(truth * np.float32(1.3), references).depth, truth) < 0.03


@pytest.mark.parametrize(
    ('depths', 'word'),
    [
        (np.full(5, 4.0), '5 measured points'),
        (np.full(60, np.nan), '0 measured points'),
        (np.geomspace(0.05, 2000, 60), 'contradict'),
        (np.full(60, 4000.0), 'factor'),
    ],
)
def test_references_that_can_not_be_are_refused(depths: Map, word: str) -> None:
    place = np.linspace(0, 100, len(depths)).astype(np.float32)
    references = References(place, place, depths.astype(np.float32), 'laser', WIDTH, HEIGHT)
    with pytest.raises(InputError, match=word):
        Corrector()(np.full((HEIGHT, WIDTH), 4.0, np.float32), references)


def test_unknown_depth_stays_unknown() -> None:
    truth = street()
    estimate = truth * np.float32(1.4)
    estimate[:20] = np.nan
    corrected = Corrector()(estimate, some(truth)).depth
    assert np.isnan(corrected[:20]).all()
    assert error(corrected[20:], truth[20:]) < 0.01


def test_scale_moves_smoothly_and_forgets_when_told() -> None:
    truth = street()
    corrector = Corrector()
    corrector(truth, some(truth), 0.8)
    # Few references, far from the lower left corner: there the scale alone acts.
    jumped = some(truth * np.float32(1.5), 60)
    assert corrector(truth, jumped, 0.8).scale == pytest.approx(1.5**0.2, rel=0.01)
    corrector.forget()
    assert corrector(truth, jumped, 0.8).scale == pytest.approx(1.5, rel=0.01)


def test_what_is_said_of_a_view_holds_for_the_next_and_leaves_no_ghost_of_it() -> None:
    then, now = street(), street(pitch=15.0, wall=5.0)
    wrong = np.float32(0.6)
    said = References.of_view(then, (then * wrong)[::2, ::2], 'network')
    for references in (said, said.aged()):
        assert error(Corrector()(now * wrong, references).depth, now) < 0.025
    ghost = dataclasses.replace(said, estimated=None)
    assert error(Corrector()(now * wrong, ghost).depth, now) > 0.2, 'depth of then in places of now'


def test_of_an_old_view_only_the_scale_is_taken() -> None:
    truth = street()
    bent = np.exp(0.3 * np.cos(np.arange(WIDTH) / WIDTH * 2 * np.pi)).astype(np.float32)
    said = References.of_view(truth * 2 * bent, truth, 'network')
    young, old = (Corrector()(truth, references).depth / truth for references in (said, said.aged()))
    assert error(young, np.broadcast_to(2 * bent, truth.shape)) < 0.05
    assert old.std() < 1e-5
    assert old.mean() == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize('pitch', [-5.0, 0.0, 20.0])
@pytest.mark.parametrize('height', [0.4, 1.65])
def test_the_ground_is_found_with_its_height_and_slope(pitch: float, height: float) -> None:
    noise = np.random.default_rng(0).normal(1, 0.02, (HEIGHT, WIDTH))
    ground = find_ground((street(height, pitch) * noise).astype(np.float32), rays(CAMERA))
    angle = np.radians(pitch)
    assert ground.height == pytest.approx(height, rel=0.03)
    assert ground.normal == pytest.approx([0, np.cos(angle), np.sin(angle)], abs=0.03)


def test_a_bank_beside_the_road_is_not_the_ground() -> None:
    """A steep plane that takes more of the image than the road does, as beside KITTI's first drive."""
    directions = rays(CAMERA)
    bank = np.array([0.2, 0.8, 0.56]) / 3.0
    road = street(1.65)
    slope = 1 / np.maximum(directions @ bank, 1e-6)
    is_bank = np.zeros(road.shape, bool)
    is_bank[:, 65:] = True
    ground = find_ground(np.where(is_bank, slope, road).astype(np.float32), directions)
    assert ground.height == pytest.approx(1.65, rel=0.03)
    assert ground.normal == pytest.approx([0, 1, 0], abs=0.03)


@pytest.mark.parametrize(('error', 'left'), [(0.5, 0.05), (-0.5, -0.05), (0.04, 0.04)])
def test_the_camera_height_mends_a_wrong_scale_but_for_what_it_is_not_sure_of(error: float, left: float) -> None:
    """Of errors of log scale 0.05 stay, as they are not known better."""
    truth = street(1.2, 8.0)
    estimate = truth * np.float32(np.exp(error))
    corrected = Corrector()(estimate, ground_references(estimate, rays(CAMERA), 1.2)).depth
    np.testing.assert_allclose(np.log(corrected / truth), left, atol=0.01)


def test_the_camera_height_says_nothing_of_the_shape() -> None:
    bent = street(1.2, 8.0) * np.exp(0.1 * np.arange(WIDTH) / WIDTH).astype(np.float32)
    change = Corrector()(bent, ground_references(bent, rays(CAMERA), 2.4)).depth / bent
    np.testing.assert_allclose(change, change[0, 0], rtol=1e-5)


@pytest.mark.parametrize('power', [0.6, 1.5])
def test_ground_whose_far_half_says_another_height_than_the_near_one_is_refused(power: float) -> None:
    """Depth that grows too slowly or too fast bends the ground: the height of the plane through it is a guess."""
    level = street(1.5, 0.0, 60.0)
    find_ground(level, rays(CAMERA))
    with pytest.raises(InputError, match='not one plane'):
        find_ground((4.0 * (level / 4.0) ** power).astype(np.float32), rays(CAMERA))


def test_a_frame_on_the_ground_tells_the_height_and_one_above_the_camera_is_refused() -> None:
    above = np.eye(4)
    above[2, 3] = 0.7
    assert height_above('base_footprint', above) == pytest.approx(0.7)
    for height in (0.0, -0.2):
        above[2, 3] = height
        with pytest.raises(InputError, match='above mast'):
            height_above('mast', above)


def test_no_ground_is_found_where_there_is_none() -> None:
    wall = np.full((HEIGHT, WIDTH), 5.0, np.float32)
    with pytest.raises(InputError, match='no ground'):
        find_ground(wall, rays(CAMERA))
    with pytest.raises(InputError, match='no ground'):
        find_ground(np.full((HEIGHT, WIDTH), np.nan, np.float32), rays(CAMERA))
