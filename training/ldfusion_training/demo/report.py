"""What a replay through the fusion node gave: numbers for ``report.json``, pictures for ``contact_sheet.png``."""

import json
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.thermal import GainConfig, GainControl
from ldfusion_models.errors import InputError
from ldfusion_training.recordings.bags import SECOND, Record, read_bag, topics_of
from ldfusion_training.recordings.image_topics import Streams
from ldfusion_training.report.pictures import (
    RGB,
    DepthScale,
    Row,
    colour_depth,
    contact_sheet,
    depth_legend,
    side_view,
)

FUSED, DEPTH, POINTS = '/fusion_node/fused/image', '/fusion_node/depth/image', '/fusion_node/points'
OUTPUTS = {'fused': FUSED, 'depth': DEPTH, 'points': POINTS}
DIAGNOSTICS = '/diagnostics'
CELL_WIDTH = 256


def arrivals(recording: Path, topics: Collection[str]) -> dict[str, dict[int, int]]:
    """By topic: the stamp of each recorded message and when it was recorded, in nanoseconds."""
    found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    for record in read_bag(recording, found.keys() & topics_of(recording).keys()):
        found[record.topic][record.stamp_ns] = record.log_ns
    return found


def publications(log: Path, topics: Collection[str]) -> dict[str, dict[int, int]]:
    """By topic: the stamp of each message that ``replay`` says it published, and when, in nanoseconds."""
    found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if entry['topic'] in found:
            found[entry['topic']][entry['stamp_ns']] = entry['published_ns']
    return found


def latencies_ms(
    visible: Mapping[int, int], thermal: Mapping[int, int], fused: Mapping[int, int]
) -> npt.NDArray[np.float64]:
    """From when the later image of a pair was published to when its fused image arrived.

    All three map stamps to times, in nanoseconds. A fused image has the stamp of its visible image; the thermal image
    is the one whose stamp is nearest. Fused images without either are left out.
    """
    stamps = sorted(thermal)
    later = {
        stamp: max(visible[stamp], thermal[_nearest(stamps, stamp)]) for stamp in fused if stamp in visible and stamps
    }
    return np.array([(fused[stamp] - published) / 1e6 for stamp, published in later.items()])


def diagnostics_of(recording: Path) -> dict[str, str]:
    """The fusion node's last diagnostic values, by key; empty if there are none."""
    values: dict[str, str] = {}
    if DIAGNOSTICS in topics_of(recording):
        for record in read_bag(recording, [DIAGNOSTICS]):
            for status in record.message.status:
                if status.name.startswith('/fusion_node'):
                    values = {item.key: item.value for item in status.values}
    return values


def make_report(publish_log: Path, outputs: Path, streams: Streams) -> dict[str, Any]:
    """Count frames, drops and latencies.

    Args:
        publish_log: what ``replay`` published and when.
        outputs: recording of the node's outputs and diagnostics.
        streams: the input topics.
    """
    sent = publications(publish_log, (streams.visible, streams.thermal))
    received = arrivals(outputs, OUTPUTS.values())
    values = diagnostics_of(outputs)
    drops = {key.removeprefix('dropped '): int(value) for key, value in values.items() if key.startswith('dropped ')}
    for name, topic in (('visible', streams.visible), ('thermal', streams.thermal)):
        drops[f'{name}_lost_on_the_way'] = len(sent[topic]) - int(values.get(f'count {name} in', 0))
    latencies = latencies_ms(sent[streams.visible], sent[streams.thermal], received[FUSED])
    p50, p95 = np.percentile(latencies, (50, 95)).round(1).tolist() if latencies.size else (None, None)
    return {
        'frames_in': {'visible': len(sent[streams.visible]), 'thermal': len(sent[streams.thermal])},
        'pairs': int(values.get('count pairs', 0)),
        'frames_out': {name: len(received[topic]) for name, topic in OUTPUTS.items()},
        'drops': {cause: count for cause, count in drops.items() if count},
        'latency_ms': {'p50': p50, 'p95': p95},
        **{key: values.get(key) for key in ('engine', 'device', 'weights')},
    }


def make_sheet(inputs: Path, outputs: Path, streams: Streams, frames: int = 5) -> RGB:
    """Some frames, evenly from the whole time: both images, fused, depth, and the cloud from the side.

    Raises:
        InputError: the outputs have no frame with both a fused and a depth image.
    """
    arrived = arrivals(outputs, OUTPUTS.values())
    needed = [FUSED, DEPTH, *([POINTS] if arrived[POINTS] else [])]
    complete = sorted(set.intersection(*(set(arrived[topic]) for topic in needed)))
    if not complete:
        raise InputError(f'{outputs}: holds no frame with fused image and depth')
    stamps = [complete[index] for index in np.linspace(0, len(complete) - 1, min(frames, len(complete))).astype(int)]
    visible, thermal = (_records_at(inputs, topic, stamps) for topic in (streams.visible, streams.thermal))
    fused, depth = (_records_at(outputs, topic, stamps) for topic in (FUSED, DEPTH))
    metres = [record.depth() for record in depth]
    scale = DepthScale.covering(metres)
    height, width = fused[0].image().shape[:2]
    cell = CELL_WIDTH, round(CELL_WIDTH * height / width)
    columns = {
        'visible': [_as_8_bits(record.image()) for record in visible],
        'thermal': [_as_8_bits(record.image()) for record in thermal],
        'fused': [record.image() for record in fused],
        'depth': [colour_depth(depths, scale) for depths in metres],
    }
    if POINTS in needed:
        columns['points'] = [side_view(*cloud_arrays(record), *cell) for record in _records_at(outputs, POINTS, stamps)]
    captions = [f'{(stamp - complete[0]) / SECOND:.1f} s' for stamp in stamps]
    rows = [Row(caption, pictures) for caption, *pictures in zip(captions, *columns.values(), strict=True)]
    return contact_sheet(list(columns), rows, cell, depth_legend(scale, cell[1]))


def cloud_arrays(record: Record) -> tuple[npt.NDArray[np.float32], RGB]:
    """Positions (H, W, 3) and colours (H, W, 3) of a cloud with x, y, z and rgb as PCL packs it."""
    points = record.points()
    packed = np.ascontiguousarray(points['rgb']).view(np.uint32)
    colours = np.stack([packed >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8)
    return np.stack([points[axis] for axis in 'xyz'], axis=-1), colours


def _records_at(recording: Path, topic: str, stamps: Sequence[int]) -> list[Record]:
    """For each stamp the topic's record that is nearest to it."""
    nearest: dict[int, Record] = {}
    for record in read_bag(recording, [topic]):
        for stamp in stamps:
            if stamp not in nearest or abs(record.stamp_ns - stamp) < abs(nearest[stamp].stamp_ns - stamp):
                nearest[stamp] = record
    return [nearest[stamp] for stamp in stamps]


def _as_8_bits(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return GainControl(GainConfig(smoothing=0.0))(image) if image.dtype == np.uint16 else image


def _nearest(stamps: Sequence[int], stamp: int) -> int:
    place = bisect_left(stamps, stamp)
    return min(stamps[max(place - 1, 0) : place + 1], key=lambda other: abs(other - stamp))
