"""Images of the same thing as two sensors see it."""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]


def two_views(seed: int, x: float, y: float, width: int = 200, height: int = 150) -> tuple[Grey, Grey]:
    """Shapes as two sensors see them: own brightness for each shape; the second is moved by -x, -y."""
    generator = np.random.default_rng(seed)
    first, second = (np.full((height * 4, width * 4), 120, np.uint8) for _ in range(2))
    for _ in range(40):
        centre = generator.integers((0, 0), (width * 4, height * 4)).tolist()
        axes, angle = generator.integers(20, 160, 2).tolist(), float(generator.uniform(0, 180))
        corners = cv2.boxPoints((centre, axes, angle)).astype(np.int32)
        for image in (first, second):
            cv2.fillPoly(image, [corners], int(generator.integers(20, 235)))
    move = np.array([[1.0, 0.0, -4.0 * x], [0.0, 1.0, -4.0 * y]])
    second = np.asarray(cv2.warpAffine(second, move, second.shape[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)
    small = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in (first, second)]
    noisy = [np.clip(image + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8) for image in small]
    return noisy[0], noisy[1]
