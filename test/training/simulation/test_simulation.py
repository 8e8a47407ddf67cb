"""The simulated scenes: their truth against closed forms, their physics by order, their text by what is there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ldfusion_models.camera.lens import Intrinsics, points_from_depth, rays
from ldfusion_models.errors import InputError
from ldfusion_training.cli import main
from ldfusion_training.simulation import CLASSES, KINDS, SimulationConfig, draw_scene, simulate_scene
from ldfusion_training.simulation.rendering.raycast import SurfaceTable, World, place_things
from ldfusion_training.simulation.rendering.shading import look
from ldfusion_training.simulation.rendering.thermal import KELVIN_PER_COUNT
from ldfusion_training.simulation.scene import LAYOUTS, Rig, camera_pose, camera_rays, distort
from ldfusion_training.simulation.scenery.climate import Puff, draw_climate
from ldfusion_training.simulation.scenery.meshes import box, ellipsoid, floor, pose
from ldfusion_training.simulation.scenery.people import person
from ldfusion_training.simulation.scenery.routes import Layout, Route
from ldfusion_training.simulation.scenery.surroundings import ASPHALT, ground
from ldfusion_training.simulation.scenery.things import Glide, Piece, Still, Surface, Thing

pytest.importorskip('embreex', reason='simulation needs embreex')

SMALL = SimulationConfig(seed=7, scenes=6, frames=2, width=96, height=72)
CAMERA = Intrinsics.from_field_of_view(128, 96, 60.0)
GREY = Surface((0.3, 0.3, 0.3))
STANDING = Route(speed=0.0, height=1.4, side=0.0, yaw=0.0, pitch=0.0, sway=0.0)


def depth_of(*meshes, height=1.4, yaw=0.0, pitch=0.0, roll=0.0):
    """Depth (H, W) and camera pose for bodies seen from (0, 0, height)."""
    table = SurfaceTable()
    things = [Thing('wall', (Piece(mesh, GREY),)) for mesh in meshes]
    world = World(place_things(enumerate(things, start=1), 0.0, table))
    climate = draw_climate(np.random.default_rng(0), 'day', 'clear', indoors=False)
    camera = camera_pose(replace(STANDING, height=height, yaw=yaw, pitch=pitch, roll=roll), 0.0, np.zeros(3))
    view = look(camera, camera_rays(CAMERA, (0, 0, 0, 0, 0)), (CAMERA.height, CAMERA.width), world, table, climate, 0.0)
    return view.truth()[0], camera


def directions_in_world(camera):
    return rays(CAMERA).astype(np.float64) @ camera[:3, :3].T


def test_a_camera_that_rolls_lowers_its_right_and_stays_a_rotation():
    pose_of = camera_pose(replace(STANDING, roll=0.1, pitch=0.2, yaw=0.3), 0.0, np.zeros(3))[:3, :3]
    np.testing.assert_allclose(pose_of.T @ pose_of, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose_of) > 0
    assert pose_of[2, 0] == pytest.approx(-np.sin(0.1) * np.cos(0.2))


def test_robots_carry_their_cameras_low_and_high_and_askew_and_see_narrow_and_wide():
    scenes = [draw_scene(replace(SMALL, scenes=20, robot_cameras=True), index) for index in range(20)]
    heights = np.array([scene.layout.route.height for scene in scenes])
    focal = np.array([scene.visible.fx for scene in scenes])
    assert 0.2 <= heights.min() < 0.4 and 2.0 < heights.max() <= 3.0
    degrees = 2 * np.degrees(np.arctan(SMALL.width / 2 / focal))
    assert 40 <= degrees.min() < 50 and 100 < degrees.max() <= 110
    assert all(s.layout.route.height <= 2.0 for s in scenes if s.kind == 'corridor')
    plain = draw_scene(SMALL, 3)
    assert len(plain.layout.things) == len(draw_scene(replace(SMALL, robot_cameras=True), 3).layout.things)


# --- depth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('height', 'pitch', 'roll'), [(1.4, 0.0, 0.0), (0.5, 0.2, 0.0), (2.5, 0.05, -0.1)])
def test_depth_of_level_ground_is_height_over_fall(height, pitch, roll):
    depth, camera = depth_of(floor((-50, 150), (-100, 100)), height=height, pitch=pitch, roll=roll)
    fall = -directions_in_world(camera)[..., 2]
    with np.errstate(divide='ignore'):
        expected = np.where(fall > 0, height / fall, np.inf)
    inside = expected < 90
    assert inside.mean() > 0.3
    np.testing.assert_allclose(depth[inside], expected[inside], rtol=1e-6, atol=1e-3)
    assert np.isnan(depth[fall <= 0]).all()


def test_depth_of_a_slanted_wall_follows_its_plane():
    wall = box((0.2, 60.0, 30.0), (0, 0, 0)).move(pose(20.0, 0.0, 5.0, yaw=0.6))
    depth, camera = depth_of(wall)
    normal = np.array([np.cos(0.6), np.sin(0.6), 0.0])
    distance = normal @ np.array([20.0, 0.0, 0.0]) - 0.1
    expected = distance / (directions_in_world(camera) @ normal)
    seen = np.isfinite(depth)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize('distance', [2.0, 10.0, 40.0])
def test_depth_of_a_box_is_its_front(distance):
    depth, _ = depth_of(box((1.0, 2.0, 2.0), (distance + 0.5, 0.0, 1.4)))
    half = 1.0 / distance * CAMERA.fx
    columns = np.abs(np.arange(CAMERA.width) - CAMERA.cx) < half - 1
    rows = np.abs(np.arange(CAMERA.height) - CAMERA.cy) < half - 1
    front = depth[np.ix_(rows, columns)]
    assert front.size > 0
    np.testing.assert_allclose(front, distance, rtol=1e-6, atol=1e-3)
    outside = np.abs(np.arange(CAMERA.width) - CAMERA.cx) > half + 1
    assert np.isnan(depth[:, outside]).all()


def test_depth_of_a_sphere():
    centre, radius = np.array([6.0, 0.5, 1.2]), 0.8
    depth, camera = depth_of(ellipsoid((radius, radius, radius), 512, 256).shift(*centre))
    direction = directions_in_world(camera)
    offset = centre - camera[:3, 3]
    a, b, c = (direction**2).sum(-1), direction @ offset, offset @ offset - radius**2
    inside = b**2 - a * c
    expected = (b - np.sqrt(np.maximum(inside, 0))) / a
    # The last pixels before the rim see the facets' edges; the facets of 512 segments lie 15 um below the sphere.
    clear = inside > 0.05 * inside.max()
    assert clear.sum() > 200
    np.testing.assert_allclose(depth[clear], expected[clear], rtol=1e-6, atol=1e-3)
    assert np.isnan(depth[inside < 0]).all()


def test_rays_of_a_distorting_lens_land_on_their_pixels():
    lens = (-0.25, 0.06, 0.001, -0.002, 0.0)
    ideal = camera_rays(CAMERA, lens)[:, :2].astype(np.float64)
    x, y = (distort(ideal, lens) * CAMERA.fx + np.array([CAMERA.cx, CAMERA.cy])).T
    columns, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    np.testing.assert_allclose(x, columns.reshape(-1), atol=0.01)
    np.testing.assert_allclose(y, rows.reshape(-1), atol=0.01)


def test_a_lens_that_folds_the_image_is_refused():
    with pytest.raises(InputError, match='too strong'):
        camera_rays(CAMERA, (-0.9, 0.0, 0.0, 0.0, 0.0))


# --- whole scenes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def first_frames():
    """The first frame of a scene of each kind, with its scene."""
    frames = {}
    for kind in KINDS:
        config = replace(SMALL, kinds=(kind,), lights=('dusk',), weathers=('clear',))
        frames[kind] = draw_scene(config, 0), next(simulate_scene(config, 0))
    return frames


@pytest.mark.parametrize('kind', KINDS)
def test_frame_is_whole(first_frames, kind):
    _, frame = first_frames[kind]
    assert frame.visible.shape == (72, 96, 3) and frame.visible.dtype == np.uint8
    assert frame.thermal.shape == (72, 96) and frame.thermal.dtype == np.uint8
    assert frame.thermal_raw.dtype == np.uint16 and frame.depth.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(frame.depth), frame.instance == 0)
    assert np.nanmin(frame.depth) > 0
    assert frame.visible.std() > 5 and frame.thermal.std() > 5
    kelvin = frame.thermal_raw * KELVIN_PER_COUNT
    assert kelvin.min() > 200 and kelvin.max() < 420


@pytest.mark.parametrize('kind', KINDS)
def test_classes_are_those_of_the_instances(first_frames, kind):
    scene, frame = first_frames[kind]
    for number in np.unique(frame.instance):
        classes = np.unique(frame.classes[frame.instance == number])
        name = scene.layout.things[number - 1].name if number else 'nothing'
        assert [CLASSES[index] for index in classes] == [name]


@pytest.mark.parametrize('kind', KINDS)
def test_description_tells_the_truth(first_frames, kind):
    scene, frame = first_frames[kind]
    for each in frame.objects:
        mask = frame.instance == each.instance
        assert mask.sum() == each.pixels
        assert scene.layout.things[each.instance - 1].name == each.name
        assert each.distance_m == pytest.approx(float(np.median(frame.depth[mask])), abs=0.01)
        column = np.median(np.nonzero(mask)[1]) / mask.shape[1]
        assert each.side == ('left' if column < 0.38 else 'right' if column > 0.62 else 'ahead')
    people = [each for each in frame.objects if each.name == 'person']
    if people:
        assert 'person' in frame.text or 'people' in frame.text
    else:
        assert 'person' not in frame.text


def test_everything_a_robot_meets_appears(first_frames):
    streets = [draw_scene(replace(SMALL, seed=seed, kinds=('street',)), 0) for seed in range(5)]
    scenes = [scene for scene, _ in first_frames.values()] + streets
    wanted = {
        'building', 'kerb', 'guard rail', 'lamp post', 'sign', 'tree', 'car', 'truck', 'bicycle', 'person', 'shelf',
        'door', 'pipe',
    }  # fmt: skip
    assert wanted <= {thing.name for scene in scenes for thing in scene.layout.things}


def test_texts_vary():
    config = replace(SMALL, width=64, height=48, kinds=('corridor',), weathers=('clear',), frames=12)
    texts = {frame.text for frame in simulate_scene(config, 0)}
    assert len(texts) >= 6


def test_few_scenes_cover_all_kinds_and_lights():
    config = replace(SMALL, kinds=('corridor', 'tunnel'))
    scenes = [draw_scene(config, index) for index in range(6)]
    assert len({(scene.kind, scene.climate.light) for scene in scenes}) == 6


def test_same_seed_same_frames_other_seed_others():
    config = replace(SMALL, kinds=('campus_path',), lights=('night',), weathers=('smoke',))
    first, again = (list(simulate_scene(config, 3)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.text == other.text
        for name in ('visible', 'thermal', 'thermal_raw', 'depth', 'instance', 'classes', 'world_T_visible'):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    different = next(simulate_scene(replace(config, seed=8), 3))
    assert not np.array_equal(first[0].visible, different.visible)


def test_the_rig_moves_through_a_still_world():
    """A wall seen from two poses lies at the same place in the world."""
    config = replace(SMALL, kinds=('warehouse_aisle',), lights=('day',), weathers=('clear',), rate_hz=1.0)
    scene = draw_scene(config, 0)
    first, second = simulate_scene(config, 0)
    assert np.linalg.norm(first.world_T_visible[:3, 3] - second.world_T_visible[:3, 3]) > 0.3
    for frame in (first, second):
        on_ground = np.isin(frame.classes, CLASSES.index('ground'))
        points = points_from_depth(frame.depth, scene.visible)[on_ground]
        height = points @ frame.world_T_visible[2, :3] + frame.world_T_visible[2, 3]
        np.testing.assert_allclose(height, 0.0, atol=0.005)


def test_depth_through_the_extrinsics_lands_on_the_same_thing_in_the_other_camera():
    config = replace(
        SMALL, kinds=('street',), lights=('day',), weathers=('clear',), baseline_m=0.12, frames=1,
        thermal_width=80, thermal_height=64, thermal_field_of_view=70.0,
    )  # fmt: skip
    scene, frame = draw_scene(config, 0), next(simulate_scene(config, 0))
    assert frame.thermal.shape == (64, 80)
    points = points_from_depth(frame.depth, scene.visible).reshape(-1, 3).astype(np.float64)
    matrix = scene.thermal_T_visible
    assert matrix[0, 3] == pytest.approx(-0.12)
    x, y, z = (points @ matrix[:3, :3].T + matrix[:3, 3]).T
    camera = scene.thermal
    with np.errstate(invalid='ignore'):
        column, row = np.round(x / z * camera.fx + camera.cx), np.round(y / z * camera.fy + camera.cy)
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    column, row, z = column[inside].astype(int), row[inside].astype(int), z[inside]
    landed, own = frame.instance_thermal[row, column], frame.instance.reshape(-1)[inside]
    # A point that the other camera sees past an edge, or sees something in front of, may land elsewhere.
    assert inside.mean() > 0.5
    assert (landed == own).mean() > 0.93
    same = landed == own
    assert np.median(np.abs(frame.depth_thermal[row, column][same] / z[same] - 1)) < 0.03


# --- physics ----------------------------------------------------------------------------------------------------------


def stage(light, weather, puffs=(), background=True, config=SMALL, **changes):
    """A rig that looks at one person 8 m ahead on asphalt."""
    random = np.random.default_rng(5)
    climate = replace(draw_climate(random, light, weather, indoors=False), puffs=puffs, air=283.0, **changes)
    things = [ground((-10, 200), (-60, 60), ASPHALT, 'road')]
    things += [Thing('wall', (Piece(box((0.3, 60, 20), (25, 0, 10)), Surface((0.5, 0.5, 0.5))),))] * background
    things.append(person(random, climate, 8.0, 0.0, np.pi, 0.0))
    scene = replace(draw_scene(config, 0), climate=climate, layout=Layout(tuple(things), STANDING))
    return Rig(config, scene).frame(0), [thing.name for thing in things]


def mean_over(image, frame, names, name):
    mask = frame.instance == names.index(name) + 1
    assert mask.sum() > 20
    return float(image[mask].mean())


def contrast(image, frame, names):
    """Difference of the person from the wall around, in parts of their sum."""
    near_person = np.isin(frame.instance, (names.index('person') + 1, names.index('wall') + 1))
    rows = np.nonzero((frame.instance == names.index('person') + 1).any(1))[0]
    near_person[rows.max() :] = False
    one, other = (mean_over(image, frame, names, name) for name in ('person', 'wall'))
    return abs(one - other) / (one + other)


def test_a_person_is_warmer_than_the_night_street():
    frame, names = stage('night', 'clear')
    kelvin = frame.thermal_raw * KELVIN_PER_COUNT
    person_kelvin, road_kelvin = mean_over(kelvin, frame, names, 'person'), mean_over(kelvin, frame, names, 'road')
    assert person_kelvin > road_kelvin + 4
    assert mean_over(frame.thermal, frame, names, 'person') > mean_over(frame.thermal, frame, names, 'road') + 30
    assert kelvin[frame.instance == names.index('person') + 1].max() < 310


def test_sky_is_colder_than_ground_and_asphalt_in_the_sun_is_hot():
    frame, names = stage('day', 'clear', background=False, clouds=0.0, sun_direction=(0.0, 0.6, 0.8))
    kelvin = frame.thermal_raw * KELVIN_PER_COUNT
    assert kelvin[:8].mean() < mean_over(kelvin, frame, names, 'road') - 20
    assert mean_over(kelvin, frame, names, 'road') > 283.0 + 8


def test_smoke_hides_a_person_from_the_visible_camera_only():
    puff = Puff((4.0, 0.0, 1.0), (0.0, 0.0, 0.0), 1.5, 1.2)
    clear, names = stage('day', 'overcast')
    smoky, _ = stage('day', 'smoke', puffs=(puff,), sun=(0.0, 0.0, 0.0))
    # Grey values have no absolute zero; contrast in light and in kelvin over the air is what is kept or lost.
    visible_kept = contrast(smoky.visible.mean(-1), smoky, names) / contrast(clear.visible.mean(-1), clear, names)
    warmth = [frame.thermal_raw * KELVIN_PER_COUNT - 273.15 for frame in (clear, smoky)]
    thermal_kept = contrast(warmth[1], smoky, names) / contrast(warmth[0], clear, names)
    assert visible_kept < 0.2
    assert thermal_kept > 0.7


def test_shadow_lies_where_the_sun_says():
    """A box before the sun darkens the ground on its far side, in light and, less, in warmth."""
    random = np.random.default_rng(1)
    climate = replace(
        draw_climate(random, 'day', 'clear', indoors=False), sun_direction=(0.0, 0.8, 0.6), sun=(1.0, 1.0, 1.0)
    )
    grey = Surface((0.3, 0.3, 0.3), solar=20.0)
    things = (
        ground((0, 60), (-30, 30), grey, 'ground'),
        Thing('wall', (Piece(box((4.0, 0.4, 3.0), (8.0, 1.5, 1.5)), grey),)),
    )
    scene = replace(draw_scene(SMALL, 0), climate=climate, layout=Layout(things, STANDING))
    frame = Rig(SMALL, scene).frame(0)
    points = points_from_depth(frame.depth, scene.visible) @ frame.world_T_visible[:3, :3].T
    points += frame.world_T_visible[:3, 3]
    floor_seen = (frame.instance == 1) & (points[..., 0] > 6.5) & (points[..., 0] < 9.5)
    # The sun at y 0.8, z 0.6 throws a 3 m wall's shadow 4 m towards -y, from its far face at y = 1.3.
    shaded = floor_seen & (points[..., 1] > -2.3) & (points[..., 1] < 1.0)
    sunny = floor_seen & (points[..., 1] < -3.1)
    assert shaded.sum() > 20 and sunny.sum() > 20
    assert frame.visible[shaded].mean() < 0.75 * frame.visible[sunny].mean()
    kelvin = frame.thermal_raw * KELVIN_PER_COUNT
    assert kelvin[shaded].mean() < kelvin[sunny].mean() - 5


def test_night_is_noisier_than_day():
    """What is left of a plain grey wall after smoothing is noise."""

    def noise(light):
        random = np.random.default_rng(2)
        climate = replace(draw_climate(random, light, 'overcast', indoors=False), haze=1e-6)
        wall = Thing('wall', (Piece(box((0.2, 60, 40), (10, 0, 0)), GREY),))
        scene = replace(draw_scene(SMALL, 0), climate=climate, layout=Layout((wall,), STANDING))
        grey = Rig(SMALL, scene).frame(0).visible.astype(np.float32).mean(-1)
        return np.diff(grey, axis=1).std() / grey.mean()

    assert noise('night') > 2 * noise('day')


def test_walkers_walk_and_cars_drive():
    config = replace(SMALL, kinds=('street',), lights=('day',), weathers=('clear',))
    scene = draw_scene(config, 0)
    moving = [thing for thing in scene.layout.things if not isinstance(thing.motion, Still)]
    assert {'person', 'car'} <= {thing.name for thing in moving}
    glide = Glide(1.0, 2.0, np.pi / 2, 3.0)
    np.testing.assert_allclose(glide.at(2.0)[:3, 3], (1.0, 8.0, 0.0), atol=1e-9)


# --- speed ------------------------------------------------------------------------------------------------------------


def test_benchmark_reports_what_it_measured(capsys):
    assert main(['simulate', '--benchmark', '--scenes', '1', '--frames', '2', '--size', '96x72']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['frames_per_second_and_core'] > 0
    assert report['scenes'] == 1 and report['frames_per_scene'] == 2 and report['size'] == [96, 72]


def test_every_kind_has_a_layout():
    assert set(LAYOUTS) == set(KINDS)
