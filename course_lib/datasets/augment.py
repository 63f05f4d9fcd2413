"""Random shifts, turns, zooms, shears and flips of whole batches: functions of (seed, epoch, step).

`draw` draws the parameters with NumPy; `move` moves the pixels with `xp=numpy` or `xp=jax.numpy`.
No function keeps a state, so that an interrupted run goes on with the batches it would have seen.

The transformation is that of Keras' legacy `ImageDataGenerator`, with its conventions: parameters
are continuous, pixels are interpolated bilinearly (order 1 of scipy.ndimage.affine_transform), and
the flip comes last. Before the flip, with x to the right and y down, both from the image's centre,

    output[x, y] = input[turn(shift(shear(zoom(x, y))))]
    zoom(x, y)  = (zooms_columns x, zooms_rows y)               above 1 shrinks the picture
    shear(x, y) = (x - sin(shears) y, cos(shears) y)            positive leans the lower part right
    shift(x, y) = (x + columns, y + rows)                       positive moves it left and up
    turn(x, y)  = (cos(angles) x - sin(angles) y,               positive turns it counter-clockwise
                   sin(angles) x + cos(angles) y)

That class calls `rows` ty, `columns` tx, the zooms zy and zx, and `angles` theta. It draws tx from
`height_shift_range`, and for images that are not square it mixes up the centre's coordinates: both
have no counterpart here.
"""

import contextlib
import numbers
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from course_lib import settings

FILLS = ("constant", "nearest")
OPTIONS = ("shift", "flip", "rotation", "zoom", "shear", "fill")
AT_ONCE = 2**16  # pixels that `move` interpolates at once, few enough to stay in a cache

# A batch needs a few arrays of a megabyte for a moment. glibc returns such memory to the system at
# once and has it zeroed again for the next batch, which takes longer than all the arithmetic;
# it keeps freed memory for reuse once a block of up to 32 MB was freed. This one is never touched.
np.empty(30 * 2**20, np.uint8)


class Draw(NamedTuple):
    """What happens to each image of a batch: arrays of shape (count,), float32 except for flips."""

    rows: np.ndarray  # pixels
    columns: np.ndarray  # pixels
    flips: np.ndarray  # bool; True swaps left and right, after all the others
    angles: np.ndarray  # degrees
    shears: np.ndarray  # degrees
    zooms_rows: np.ndarray  # source pixels for each pixel of the output
    zooms_columns: np.ndarray


def _generator(purpose: int, seed: int, *place: int) -> np.random.Generator:
    # A spawn key keeps the streams of all purposes, epochs and steps apart (NumPy, "Parallel
    # random number generation"); a list of entropy would take (1,) and (1, 0) for the same.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *place)))


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order, (count,) int64, in which an epoch goes through the samples."""
    return _generator(0, seed, epoch).permutation(count)


def check(options: dict, *, whole: bool = False) -> None:
    """CourseError for an option that is unknown, or has a value that `draw` cannot take; with
    `whole` also where anything is to happen and `move` would have no `fill`."""
    if whole and options and "fill" not in options:
        raise settings.CourseError(f"augmentation needs a fill: {' or '.join(FILLS)}")
    for name, value in options.items():
        if name not in OPTIONS:
            raise settings.nearest(name, OPTIONS, "augmentation")
        if name == "fill":
            if value not in FILLS:
                raise settings.nearest(str(value), FILLS, "fill")
        elif not isinstance(value, numbers.Real) or not 0 <= value < np.inf:
            raise settings.CourseError(f"{name} must be one number from 0, not {value!r}")
        elif value > 1 and name in ("shift", "zoom"):
            raise settings.CourseError(
                f"{name} is a part of the image, at most 1, not {value!r}: Keras would take a "
                "shift above 1 for pixels"
            )


def draw(options: dict, count: int, *, size: int, seed: int, epoch: int, step: int) -> Draw:
    """Parameters for the `count` images of one step; all uniform and continuous.

    options: `shift`, the most either way as a part of `size`, the images' height and width in
    pixels; `rotation` and `shear`, the most either way in degrees; `zoom`, so that both axes, each
    for itself, are zoomed by 1 - zoom to 1 + zoom; `flip`, whether every second image, at random,
    is flipped. What is left out does not happen. `fill` is for `move`.

    Raises CourseError for options that `check` refuses.
    """
    check(options)
    rng = _generator(1, seed, epoch, step)
    shift = options.get("shift", 0) * size
    rows, columns = rng.uniform(-shift, shift, (2, count)).astype(np.float32)
    flips = rng.random(count) < (0.5 if options.get("flip") else 0)
    # All are drawn, wanted or not, and records hang on this order: a parameter then stays what it
    # was when another one is switched on or off.
    most = [[options.get(name, 0)] for name in ("rotation", "shear", "zoom", "zoom")]
    others = (most * rng.uniform(-1, 1, (4, count))).astype(np.float32)
    others[2:] += 1
    return Draw(rows, columns, flips, *others)


def standardise(images, mean, deviation, *, xp=np):
    """(images - mean) / deviation.

    images: (count, height, width, channels) of grey levels, usually uint8. mean, deviation: one
    number a channel, or one a pixel and channel. Returns float32 of the same shape.
    """
    mean, deviation = (
        xp.broadcast_to(xp.asarray(part, xp.float32), images.shape[1:]).reshape(-1)
        for part in (mean, deviation)
    )
    # A whole image a row: NumPy is slow where the innermost axis has three elements.
    result = images.reshape(-1, mean.size).astype(xp.float32)
    with _small_buffers():
        result -= mean
        result /= deviation
    return result.reshape(images.shape)


def move(images, draw: Draw, *, fill: str, xp=np):
    """The images moved as `draw` says.

    images: (count, height, width, channels) float32, left as they are. fill: what shows where a
    source lies beyond the image, "constant" for 0 (as scipy has it, wherever it lies outside
    [0, size - 1], even by a part of a pixel) or "nearest" for the edge. Returns a new array of the
    same shape. With `xp=jax.numpy` it can be compiled; `fill` and `xp` are static.

    Raises CourseError for an unknown fill.
    """
    check({"fill": fill})
    images = xp.asarray(images, xp.float32)
    if xp is not np:
        return _warp(images, draw, fill, xp)
    others = *draw[3:5], draw.zooms_rows - 1, draw.zooms_columns - 1
    if not any(map(np.count_nonzero, others)):  # quicker than x.any()
        return _shift_flip(images, draw, fill)
    result = np.empty_like(images)
    at_once = max(1, AT_ONCE // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        result[part] = _warp(images[part], Draw(*(x[part] for x in draw)), fill, np)
    return result


def _warp(images, draw: Draw, fill: str, xp):
    """`move` for every draw: four neighbours of each pixel's source, mixed."""
    count, height, width, channels = images.shape
    rows, columns, flips, angles, shears, zooms_rows, zooms_columns = (
        xp.asarray(x)[:, None] for x in draw
    )
    turn = xp.deg2rad(angles)
    lean = turn + xp.deg2rad(shears)  # what shear and turn, combined, come to for y
    cos, sin = xp.cos(turn), xp.sin(turn)
    y = zooms_rows * (xp.arange(height, dtype=xp.float32) - (height - 1) / 2)
    x = zooms_columns * (xp.arange(width, dtype=xp.float32) - (width - 1) / 2)
    x = xp.where(flips, -x, x)
    down, below, inside_rows = _neighbours(
        sin * x, xp.cos(lean) * y + (sin * columns + cos * rows + (height - 1) / 2), height, xp
    )
    right, beside, inside_columns = _neighbours(
        cos * x, -xp.sin(lean) * y + (cos * columns - sin * rows + (width - 1) / 2), width, xp
    )
    inside = 1
    if fill == "constant":
        inside = (inside_rows & inside_columns).astype(xp.float32)
        below, beside = below * inside, beside * inside
    both = below * beside
    line = width * channels
    weights = (
        (inside - below - (beside - both), 0),
        (beside - both, channels),
        (below - both, line),
        (both, line + channels),
    )
    # A neighbour beyond the edge has the weight 0: any pixel will do. NumPy takes single numbers
    # faster than pixels of three, from a view faster than at a sum of indices, and wraps fastest.
    index = (line * down + channels * right).astype(xp.int32)  # in an image: exact in float32
    index = index + (height * line * xp.arange(count))[:, None, None]
    flat, result = images.reshape(-1), []
    for channel in range(channels):
        mixed = 0
        for weight, step in weights:
            taken = xp.take(flat[channel + step :], index, mode="wrap")
            taken *= weight
            mixed += taken
        result.append(mixed)
    return xp.stack(result, axis=-1)


def _neighbours(along_row, along_column, size: int, xp):
    """Sources on an axis of `size`, at along_row (count, width) + along_column (count, height).

    Returns the pixel before each, the part beyond it and whether it is inside the image.
    """
    place = along_row[:, None, :] + along_column[:, :, None]
    near = xp.clip(place, 0, size - 1)
    before = xp.floor(near)
    return before, near - before, near == place


def _shift_flip(images, draw: Draw, fill: str):
    """`move` for shifts and flips in NumPy, in a third of the time and less."""
    rows, columns = draw.rows[:, None], draw.columns[:, None]
    low_rows, low_columns = np.floor(rows), np.floor(columns)
    with _small_buffers():
        lines, mixed = _between(images, rows - low_rows, columns - low_columns, fill)
        whole = low_rows.astype(int), low_columns.astype(int), draw.flips
        result = _place(lines, mixed, *whole, columns == low_columns, fill, images.shape)
    return result.reshape(images.shape)


def _between(images, rows, columns, fill: str):
    """The images shifted by parts of a pixel: sampled at (r + rows, c + columns).

    rows, columns: (count, 1) in [0, 1). Of h rows, h - 1 have a neighbour below to mix with; the
    last is inside only when the part is 0. A row before and a row after stand for all that lies
    outside. Returns lines (count, h + 2, w channels), shifted by `rows` only, and mixed
    (count, h + 2, (w - 1) channels), shifted by both.
    """
    count, height, width, channels = images.shape
    line = width * channels
    flat = images.reshape(count, height * line)
    before, last = flat[:, :line], flat[:, -line:]
    after = last
    if fill == "constant":
        before = after = np.zeros_like(last)
        last = np.where(rows == 0, last, 0)
    # Flat, with one spare pixel at the end: the neighbour of a row's last pixel is then the next
    # row's first, and the resulting column of nonsense is cut off.
    parts = [before, _mix(flat, rows, line), last, after, after[:, :channels]]
    flat = np.concatenate(parts, axis=1)
    shape = count, height + 2, line
    mixed = _mix(flat, columns, channels).reshape(shape)[:, :, :-channels]
    return flat[:, :-channels].reshape(shape), mixed


def _mix(flat, part, step: int):
    """(1 - part) of every element of `flat` and `part` of the one `step` after it."""
    here = flat[:, :-step]
    result = flat[:, step:] - here
    result *= part
    result += here
    return result


def _place(lines, mixed, rows, columns, flips, exact, fill: str, shape):
    """What _between returned, shifted by whole pixels and flipped.

    rows, columns: (count, 1) int. flips: (count,) bool. exact: (count, 1), whether an image meets
    the last column, its part of a pixel being 0. Copies a row of a window at once.
    """
    count, height, width, channels = shape
    border = np.abs(columns).max(initial=1)  # wide enough that no window leaves the grid
    start, stop = border * channels, (border + width - 1) * channels
    grid = np.zeros((count, height + 2, (width + 2 * border) * channels), np.float32)
    grid[:, :, start:stop] = mixed
    if fill == "nearest":
        for channel in range(channels):
            grid[:, :, channel:start:channels] = lines[:, :, channel, None]
            grid[:, :, stop + channel :: channels] = lines[:, :, channel - channels, None]
    else:
        chosen = np.flatnonzero(exact)
        grid[chosen, :, stop : stop + channels] = lines[chosen, :, -channels:]
    windows = sliding_window_view(grid, width * channels, axis=2)
    source = np.clip(np.arange(1, height + 1) + rows, 0, height + 1)
    result = windows[np.arange(count)[:, None], source, start + columns * channels]
    chosen = np.flatnonzero(flips)
    plain = result[chosen]
    flipped = np.empty_like(plain)
    for channel in range(channels):  # long strides beat many copies of three elements
        flipped[:, :, channel::channels] = plain[:, :, channel - channels :: -channels]
    result[chosen] = flipped
    return result


@contextlib.contextmanager
def _small_buffers():
    """Keep NumPy 2 from copying short rows into its 8,192-element buffers (2.5 times slower)."""
    before = np.setbufsize(512)
    try:
        yield
    finally:
        np.setbufsize(before)
