"""Which classes each cell of an image shows: a second task for networks that are to learn what is where."""

import numpy as np
import numpy.typing as npt

# Side in pixels of a cell: the grid of the fusion's coarsest features.
CELL = 8


def classes_in_cells(classes: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.bool_]:
    """(count, H / CELL, W / CELL): whether at least a sixteenth of a cell of ``classes`` (H, W) shows the class."""
    height, width = (length // CELL for length in classes.shape)
    cells = classes.reshape(height, CELL, width, CELL)
    pixels = np.stack([(cells == number).sum(axis=(1, 3)) for number in range(count)])
    shown: npt.NDArray[np.bool_] = pixels * 16 >= CELL * CELL
    return shown
