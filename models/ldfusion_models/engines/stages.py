"""The stages of a frame, for breakdowns of its time."""

import re
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

# By the part of the graph that a layer belongs to.
STAGES = {
    'extractor': 'features',
    'student': 'features',
    'fusion': 'fusion',
    'visible_depth': 'depth',
    'thermal_depth': 'depth',
    'published': 'depth',
}
OTHER_STAGE = 'images and layouts'
TRANSFERS = 'transfers'
PART = re.compile(rf'/({"|".join(STAGES)})/')


@runtime_checkable
class Staged(Protocol):
    """An engine that can say how long its stages take."""

    def stage_times(
        self, visible: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], text: npt.NDArray[np.float32]
    ) -> dict[str, float]:
        """Milliseconds of one frame by stage; measuring costs time itself.

        Arguments are those of ``run``; the stages are those of ``STAGES``, ``OTHER_STAGE`` and ``TRANSFERS``.
        """
        ...


def stage_of(layer: str) -> str:
    """The stage of a layer by its name in the graph; of layers that were merged, that of the first."""
    found = PART.search(layer)
    return STAGES[found[1]] if found else OTHER_STAGE


def no_time() -> dict[str, float]:
    """Every stage of a frame with 0 ms."""
    return dict.fromkeys([*STAGES.values(), OTHER_STAGE], 0.0)
