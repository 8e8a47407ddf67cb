"""Average precision against closed forms and a plain count, and its intervals."""

import math

import numpy as np
import pytest

from ldfusion_training.evaluation.downstream.average_precision import (
    ImageMatches,
    average_precision,
    bootstrap,
    match_boxes,
    overlaps,
    recall,
)

NONE = np.zeros((0, 4))
THING = np.array([[0.0, 0, 10, 10]])


def image(scores: list[float], hits: list[bool], things: int) -> ImageMatches:
    return ImageMatches(np.array(scores), np.array(hits, bool), things)


def plain_average_precision(images: list[ImageMatches]) -> float:
    """By the definition, threshold by threshold, with numbers of Python only."""
    ranked = sorted((-score, hit) for each in images for score, hit in zip(each.scores, each.hits, strict=True))
    things = sum(each.things for each in images)
    points = []
    for count in range(1, len(ranked) + 1):
        right = sum(bool(hit) for _, hit in ranked[:count])
        points.append((right / things, right / count))
    wanted = [step / 100 for step in range(101)]
    return sum(max((p for r, p in points if r >= level - 1e-9), default=0.0) for level in wanted) / 101


def test_closed_forms() -> None:
    one = np.ones(1)
    assert average_precision([image([0.9], [True], 1)], one) == 1
    assert average_precision([image([0.9, 0.8], [False, True], 1)], one) == pytest.approx(0.5)
    # One of two found: precision 1 at recalls 0 to 0.5, which are 51 of 101.
    assert average_precision([image([0.9], [True], 2)], one) == pytest.approx(51 / 101)
    assert average_precision([image([], [], 2)], one) == 0
    assert math.isnan(average_precision([image([0.5], [False], 0)], one))


@pytest.mark.parametrize('seed', range(5))
def test_pooled_images_as_by_the_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    images = []
    for count in generator.integers(0, 12, 6):
        hits = generator.random(count) < 0.6
        images.append(ImageMatches(generator.random(count), hits, int(hits.sum() + generator.integers(1, 4))))
    assert average_precision(images, np.ones(6)) == pytest.approx(plain_average_precision(images))
    # An image that counts twice is an image that is there twice.
    weights = np.array([2.0, 0, 1, 1, 0, 1])
    drawn = [images[0], images[0], images[2], images[3], images[5]]
    assert recall(images, weights, 0.4) == pytest.approx(recall(drawn, np.ones(5), 0.4))
    assert average_precision(images, weights) == pytest.approx(average_precision(drawn, np.ones(5)), abs=0.02)


def test_a_thing_is_found_once() -> None:
    found = np.array([[0.0, 0, 10, 9], [0, 0, 10, 10]])
    matched = match_boxes(found, np.array([0.5, 0.9]), THING, NONE, NONE)
    assert matched.hits.tolist() == [True, False]
    assert matched.scores.tolist() == [0.9, 0.5]
    assert not match_boxes(np.array([[0.0, 0, 10, 4.9]]), np.ones(1), THING, NONE, NONE).hits.any()


def test_difficult_things_and_regions_to_ignore_count_neither_way() -> None:
    found = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    assert len(match_boxes(found, np.ones(2), NONE, found, NONE).hits) == 0
    assert len(match_boxes(found, np.ones(2), NONE, NONE, np.array([[0.0, 0, 100, 100]])).hits) == 0
    # What hits a thing counts, even in a region to ignore.
    assert match_boxes(found, np.ones(2), THING, NONE, np.array([[0.0, 0, 100, 100]])).hits.tolist() == [True]


def test_overlap_of_the_union_and_of_the_first() -> None:
    first, second = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 5, 2], [5, 5, 6, 6]])
    assert overlaps(first, second)[0] == pytest.approx([2 / 10, 0])
    assert overlaps(first, second, of_first=True)[0] == pytest.approx([1 / 2, 0])


def test_intervals_hold_the_mean_as_the_normal_one_does() -> None:
    values = np.random.default_rng(3).normal(5, 2, 200)
    low, high = bootstrap(200, lambda weights: float(weights @ values / weights.sum()))
    half = 1.96 * values.std() / math.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1)
    assert all(math.isnan(each) for each in bootstrap(3, lambda weights: math.nan))
