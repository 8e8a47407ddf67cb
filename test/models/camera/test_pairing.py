"""The synchroniser against a brute-force oracle, and the bad streams that cameras and bags produce."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldfusion_models.camera.pairing import Pair, PairingConfig, Synchroniser
from ldfusion_models.errors import InputError

MS = 1_000_000
FAR = 10_000 * MS


def nearest(stamp: int, stamps: list[int]) -> int:
    return sorted(stamps, key=lambda other: (abs(other - stamp), other))[0]


def oracle(visible: list[int], thermal: list[int], tolerance: int) -> list[tuple[int, int]]:
    """Over complete streams: take the earliest two that are each other's nearest, forget all before them, repeat."""
    pairs = []
    while True:
        mutual = [
            (v, t)
            for v in visible
            for t in thermal
            if abs(v - t) <= tolerance and nearest(v, thermal) == t and nearest(t, visible) == v
        ]
        if not mutual:
            return pairs
        pair = min(mutual)
        pairs.append(pair)
        visible = [v for v in visible if v > pair[0]]
        thermal = [t for t in thermal if t > pair[1]]


def deliver(
    synchroniser: Synchroniser[str], visible: list[int], thermal: list[int], order: list[bool]
) -> list[Pair[str]]:
    """Feed both streams in the order given (True: the visible one's next frame), then what is left."""
    queues = {True: list(visible), False: list(thermal)}
    pairs = []
    for is_visible in [*order, *[True] * len(visible), *[False] * len(thermal)]:
        if queues[is_visible]:
            stamp = queues[is_visible].pop(0)
            add = synchroniser.add_visible if is_visible else synchroniser.add_thermal
            pairs += add(stamp, f'{"v" if is_visible else "t"}{stamp}')
    return pairs


@st.composite
def steady_stream(draw: st.DrawFn) -> list[int]:
    """A camera whose interval varies by a tenth, as the synchroniser expects of cameras."""
    interval = draw(st.integers(5, 120))
    stamps = [draw(st.integers(0, 200)) * MS]
    for factor in draw(st.lists(st.integers(1000, 1100), max_size=25)):
        stamps.append(stamps[-1] + interval * factor * MS // 1000)
    return stamps


@given(steady_stream(), steady_stream(), st.lists(st.booleans(), max_size=60), st.integers(0, 80))
def test_pairs_are_the_oracles_whatever_the_order_of_delivery(
    visible: list[int], thermal: list[int], order: list[bool], tolerance: int
) -> None:
    synchroniser: Synchroniser[str] = Synchroniser(PairingConfig(tolerance * MS, queue_size=1000))
    pairs = deliver(synchroniser, [*visible, FAR], [*thermal, FAR], order)
    found = [(pair.visible_ns, pair.thermal_ns) for pair in pairs]
    assert found == oracle([*visible, FAR], [*thermal, FAR], tolerance * MS)
    assert [(pair.visible, pair.thermal) for pair in pairs] == [(f'v{v}', f't{t}') for v, t in found]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-100, 3000)), max_size=80),
    st.integers(0, 60),
    st.integers(1, 6),
    st.integers(-50, 50),
)
def test_any_stream_keeps_the_books(
    frames: list[tuple[bool, int]], tolerance: int, queue_size: int, offset: int
) -> None:
    """Whatever comes: pairs within tolerance, no frame used twice, and each frame paired, waiting or counted once."""
    config = PairingConfig(tolerance * MS, offset * MS, queue_size)
    synchroniser: Synchroniser[int] = Synchroniser(config)
    pairs = []
    for index, (is_visible, stamp) in enumerate(frames):
        add = synchroniser.add_visible if is_visible else synchroniser.add_thermal
        pairs += add(stamp * MS, index)
        assert max(synchroniser.waiting) <= queue_size
    for pair in pairs:
        assert pair.offset_ns == pair.thermal_ns + offset * MS - pair.visible_ns
        assert abs(pair.offset_ns) <= tolerance * MS
        assert frames[pair.visible] == (True, pair.visible_ns // MS)
        assert frames[pair.thermal] == (False, pair.thermal_ns // MS)
    used = [index for pair in pairs for index in (pair.visible, pair.thermal)]
    assert len(set(used)) == len(used)
    for name, is_visible, waiting in zip(('visible', 'thermal'), (True, False), synchroniser.waiting, strict=True):
        dropped = sum(count for cause, count in synchroniser.drops.items() if cause.startswith(name))
        assert len(pairs) + waiting + dropped == sum(frame[0] == is_visible for frame in frames)


def test_synchronised_cameras_pair_without_waiting() -> None:
    synchroniser: Synchroniser[int] = Synchroniser()
    for frame in range(5):
        assert synchroniser.add_visible(frame * 33 * MS, frame) == []
        assert [pair.visible for pair in synchroniser.add_thermal(frame * 33 * MS, frame)] == [frame]


def test_a_9_hz_thermal_camera_beside_a_30_hz_visible_one_loses_no_thermal_frame() -> None:
    """Free-running: each thermal frame gets the visible frame nearest to it, at most half a visible interval away."""
    synchroniser: Synchroniser[str] = Synchroniser()
    arrivals = [(stamp * MS, True) for stamp in range(0, 3000, 33)] + [(s * MS, False) for s in range(50, 2900, 111)]
    pairs = []
    for stamp, is_visible in sorted(arrivals):
        pairs += (synchroniser.add_visible if is_visible else synchroniser.add_thermal)(stamp, '')
    assert [pair.thermal_ns for pair in pairs] == [s * MS for s in range(50, 2900, 111)]
    assert all(abs(pair.offset_ns) <= 16.5 * MS for pair in pairs)


def test_clock_offset_is_added_to_thermal_stamps() -> None:
    synchroniser: Synchroniser[str] = Synchroniser(PairingConfig(5 * MS, clock_offset_ns=-400 * MS))
    synchroniser.add_visible(0, 'v')
    (pair,) = synchroniser.add_thermal(400 * MS, 't')
    assert (pair.visible_ns, pair.thermal_ns, pair.offset_ns) == (0, 400 * MS, 0)


@pytest.mark.parametrize('visible_first', [True, False])
def test_a_looping_bag_goes_on_with_its_first_pair(visible_first: bool) -> None:
    """Whichever stream jumps back first, and with a frame of the old lap still under way."""
    synchroniser: Synchroniser[str] = Synchroniser()
    for stamp in range(50_000, 51_000, 100):
        synchroniser.add_visible(stamp * MS, 'old')
        synchroniser.add_thermal(stamp * MS, 'old')
    first, second = synchroniser.add_visible, synchroniser.add_thermal
    if not visible_first:
        first, second = second, first
    assert first(0, 'new') == []
    second(51_000 * MS, 'late')
    pairs = second(0, 'new')
    for stamp in range(100, 500, 100):
        pairs += first(stamp * MS, 'new')
        pairs += second(stamp * MS, 'new')
    assert [pair.visible_ns for pair in pairs] == [stamp * MS for stamp in range(0, 500, 100)]
    assert {pair.visible for pair in pairs} | {pair.thermal for pair in pairs} == {'new'}
    assert sum(count for cause, count in synchroniser.drops.items() if cause.endswith('_reset')) == 1


def test_a_stamp_from_the_future_costs_one_frame() -> None:
    synchroniser: Synchroniser[str] = Synchroniser()
    synchroniser.add_visible(0, 'v')
    synchroniser.add_thermal(0, 't')
    synchroniser.add_visible(10**18, 'future')
    synchroniser.add_visible(100 * MS, 'v')
    (pair,) = synchroniser.add_thermal(100 * MS, 't')
    assert pair.visible == 'v'
    assert synchroniser.drops == {'visible_reset': 1}


def test_duplicates_and_late_frames_are_counted_apart() -> None:
    synchroniser: Synchroniser[str] = Synchroniser()
    for stamp in (100, 100, 90):
        synchroniser.add_visible(stamp * MS, 'v')
    assert synchroniser.drops == {'visible_duplicate': 1, 'visible_out_of_order': 1}


@pytest.mark.parametrize('values', [{'tolerance_ns': -1}, {'reset_ns': -1}, {'queue_size': 0}])
def test_settings_that_cannot_work_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(InputError, match=str(next(iter(values.values())))):
        PairingConfig(**values)
