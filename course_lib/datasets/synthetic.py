"""Ten shapes and textures drawn by code: 32x32 RGB images that need no download.

Colours, place, size and angle are drawn at random for every image, so a single pixel says next to
nothing about the class. Vertical stripes are horizontal ones transposed, pixel by pixel: both
classes have the same pixel histograms, and whatever treats rows and columns alike (1x1
convolutions, square pooling, global pooling) gives the same answer to an image and its transpose.
Telling them apart takes a filter that sees a neighbourhood.
"""

import numpy as np

from course_lib.datasets import Dataset

SIZE = 32
# The two classes that differ by a transpose only.
SAME_HISTOGRAM = ("horizontal stripes", "vertical stripes")


def load(images: int = 2000, test_images: int = 500, seed: int = 0) -> Dataset:
    """Training and test images from two independent streams of `seed`, classes in equal parts.

    Counts that are no multiple of ten leave classes that differ by one image.
    """
    x_train, y_train = _part(images, seed, 0)
    x_test, y_test = _part(test_images, seed, 1)
    return Dataset("synthetic", CLASSES, x_train, y_train, x_test, y_test)


def _part(count: int, seed: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, stream])
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(CLASSES))
    return draw(labels, rng), labels


def draw(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One uint8 image (32, 32, 3) for each label.

    What is taken from `rng` does not depend on the labels: drawn with equal generators, an image
    of one class of SAME_HISTOGRAM is the transpose of the other's.
    """
    count = len(labels)

    def uniform(low, high, shape=(1, 1)):
        return rng.uniform(low, high, (count, *shape)).astype(np.float32)

    # Where: radius in pixels, centre far enough from the border to keep most of a shape in sight.
    radius = uniform(7, 12)
    turn = uniform(-np.pi, np.pi)
    stripes = np.isin(labels, [CLASSES.index(name) for name in SAME_HISTOGRAM])[:, None, None]
    turn = np.where(stripes, turn * 0.12, turn)  # at most 22 degrees, else the two would meet
    axis = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    x = axis[None, None, :] - uniform(-5, 5)
    y = axis[None, :, None] - uniform(-5, 5)
    across = np.cos(turn) * x + np.sin(turn) * y
    along = np.cos(turn) * y - np.sin(turn) * x

    ink = np.empty((count, SIZE, SIZE), np.float32)
    for index, inside in enumerate(_INSIDE.values()):
        own = labels == index
        # Distances are in pixels, so cutting them off at half a pixel smooths the edges.
        ink[own] = np.clip(0.5 + inside(across[own], along[own], radius[own]), 0, 1)

    # Which colours: one dark and one light, hues far apart; either may be the background.
    hue = uniform(0, 2 * np.pi, (1,))
    dark = _colour(hue, uniform(0.55, 0.95, (1,)), uniform(0.35, 0.6, (1,)))
    light = _colour(
        hue + uniform(1.5, 4.8, (1,)), uniform(0.15, 0.6, (1,)), uniform(0.85, 1.0, (1,))
    )
    swap = uniform(0, 1, (1,)) < 0.5
    paper, pen = np.where(swap, dark, light), np.where(swap, light, dark)
    image = paper[:, None, None] + ink[..., None] * (pen - paper)[:, None, None]

    # Soft light from one side, then noise that knows no place.
    side = uniform(-np.pi, np.pi)
    shade = 1 + uniform(0.05, 0.3) * (np.cos(side) * axis + np.sin(side) * axis[:, None]) / SIZE
    image *= shade[..., None]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += uniform(0.01, 0.05)[..., None] * noise
    image = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)

    flat = labels == CLASSES.index(SAME_HISTOGRAM[0])
    image[flat] = image[flat].swapaxes(1, 2)
    return image


def _colour(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """RGB in 0..1, (count, 3), from hue in radians: HSV with its corners rounded off."""
    wave = 0.5 + 0.5 * np.cos(hue - np.array([0, 2, 4], np.float32) * np.pi / 3)
    return value * (1 - saturation * (1 - wave))


# How far inside its figure a point lies, in pixels (negative: outside). `a` and `b` are the
# coordinates across and along the figure, `r` its radius, each (count, 32, 32) or (count, 1, 1).


def _disc(a, b, r):
    return 0.85 * r - np.hypot(a, b)


def _ring(a, b, r):
    return 0.22 * r - np.abs(np.hypot(a, b) - 0.78 * r)


def _square(a, b, r):
    return 0.75 * r - np.maximum(np.abs(a), np.abs(b))


def _triangle(a, b, r):
    return 0.5 * r - np.maximum(-b, 0.5 * b + 0.866 * np.abs(a))


def _cross(a, b, r):
    long, short = np.maximum(np.abs(a), np.abs(b)), np.minimum(np.abs(a), np.abs(b))
    return np.minimum(r - long, 0.28 * r - short)


def _star(a, b, r):
    # Folded onto one half of one of its five arms, the star is the side of a line.
    fifth = 2 * np.pi / 5
    angle = np.abs((np.arctan2(a, b) + np.pi) % fifth - fifth / 2)
    length = np.hypot(a, b)
    tip, notch = 1.05 * r, 0.42 * r
    edge_x, edge_y = notch * np.cos(fifth / 2) - tip, notch * np.sin(fifth / 2)
    side = edge_x * length * np.sin(angle) - edge_y * (length * np.cos(angle) - tip)
    return side / np.hypot(edge_x, edge_y)


def _dots(a, b, r):
    step = 0.75 * r
    near_a, near_b = (np.abs((c + step / 2) % step - step / 2) for c in (a, b))
    return 0.32 * step - np.hypot(near_a, near_b)


def _checkerboard(a, b, r):
    turns = 2 * np.pi / r  # radians a pixel: one period is as long as the radius
    return r / 4 * np.sin(turns * a) * np.sin(turns * b)


def _stripes(a, b, r):
    turns = 2 * np.pi / r
    return r / 5 * np.sin(turns * a)


_INSIDE = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "dots": _dots,
    "checkerboard": _checkerboard,
    "horizontal stripes": _stripes,
    "vertical stripes": _stripes,
}
CLASSES = tuple(_INSIDE)
