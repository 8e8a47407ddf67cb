"""What captioners say of pairs, drawn into the images."""

from collections.abc import Iterable

import cv2
import numpy as np

from ldfusion_models.language.facts import Description
from ldfusion_models.language.guidance import Captions
from ldfusion_training.data.pairs import Pair
from ldfusion_training.report.pictures import FONT, RGB, Row, contact_sheet

BOX = (255, 210, 0)
CELL = (480, 320)


def caption_sheet(described: Iterable[tuple[Pair, Captions]]) -> RGB:
    """Both images of each pair with boxes and distances, under the caption."""
    rows = []
    for pair, captions in described:
        thermal = np.repeat(pair.thermal[..., None], 3, 2)
        pictures = [_marked(pair.visible, captions.visible), _marked(thermal, captions.thermal)]
        rows.append(Row(captions.text, pictures))
    return contact_sheet(('visible', 'thermal'), rows, CELL)


def _marked(image: RGB, description: Description) -> RGB:
    height, width = image.shape[:2]
    scale = CELL[0] / width
    marked = np.ascontiguousarray(cv2.resize(image, (CELL[0], round(height * scale))))
    for each in description.facts.mentions if description.facts else ():
        left, top, right, bottom = (
            round(value * side) for value, side in zip(each.box, 2 * marked.shape[1::-1], strict=True)
        )
        cv2.rectangle(marked, (left, top), (right, bottom), BOX)
        label = f'{each.name} {each.distance_m:.0f}{" warm" * each.warm}'
        cv2.putText(marked, label, (left, max(9, top - 2)), FONT, 0.34, BOX, 1, cv2.LINE_AA)
    return np.asarray(marked, np.uint8)
