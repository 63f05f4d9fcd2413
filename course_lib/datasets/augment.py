"""Random shifts and flips for whole batches: pure functions of (seed, epoch, step).

NumPy draws the parameters; `shift_flip` moves the pixels with `xp=numpy` or `xp=jax.numpy`. No
function keeps a state, so that an interrupted run goes on with the batches it would have seen.

The transformation is that of Keras' legacy `ImageDataGenerator` with `width_shift_range`,
`height_shift_range` and `horizontal_flip`: shifts are continuous, pixels are interpolated
bilinearly (order 1 of scipy.ndimage.affine_transform), and the flip comes after the shift.
Signs are those of that class too. With a shift of (rows, columns), before the flip,

    output[r, c] = input[r + rows, c + columns]

so positive rows move the picture up and positive columns move it left. (`rows` is that class's
`ty`, `columns` its `tx`, although it draws `tx` from `height_shift_range`.)
"""

import contextlib
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from course_lib import settings

FILLS = ("constant", "nearest")

# A batch needs a few arrays of a megabyte for a moment. glibc returns such memory to the system at
# once and has it zeroed again for the next batch, which takes longer than all the arithmetic;
# it keeps freed memory for reuse once a block of up to 32 MB was freed. This one is never touched.
np.empty(30 * 2**20, np.uint8)


class ShiftFlip(NamedTuple):
    """What happens to each image of a batch: arrays of shape (count,)."""

    rows: np.ndarray  # float32, pixels; positive moves the picture up
    columns: np.ndarray  # float32, pixels; positive moves the picture left
    flips: np.ndarray  # bool; True swaps left and right after the shift


def _generator(purpose: int, seed: int, *place: int) -> np.random.Generator:
    # A spawn key keeps the streams of all purposes, epochs and steps apart (NumPy, "Parallel
    # random number generation"); a list of entropy would take (1,) and (1, 0) for the same.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *place)))


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order, (count,) int64, in which an epoch goes through the samples."""
    return _generator(0, seed, epoch).permutation(count)


def draw_shift_flip(
    count: int, *, shift: float, size: int, flip: bool, seed: int, epoch: int, step: int
) -> ShiftFlip:
    """Parameters for the `count` images of one step.

    shift: the largest shift either way as a part of `size`, the images' height and width in
    pixels; uniform, continuous. flip: whether every second image, at random, is flipped.
    """
    rng = _generator(1, seed, epoch, step)
    rows, columns = rng.uniform(-shift * size, shift * size, (2, count)).astype(np.float32)
    flips = rng.random(count) < (0.5 if flip else 0)
    return ShiftFlip(rows, columns, flips)


def standardise(images, mean, deviation, *, xp=np):
    """(images - mean) / deviation for each channel.

    images: (count, height, width, channels) of grey levels, usually uint8. mean, deviation: one
    number a channel. Returns float32 of the same shape.
    """
    count, height, width, channels = images.shape
    # A whole image a row: NumPy is slow where the innermost axis has three elements.
    result = images.reshape(count, height * width * channels).astype(xp.float32)
    with _small_buffers():
        result -= xp.tile(xp.asarray(mean, xp.float32), height * width)
        result /= xp.tile(xp.asarray(deviation, xp.float32), height * width)
    return result.reshape(images.shape)


def shift_flip(images, parameters: ShiftFlip, *, fill: str, xp=np):
    """The images shifted and flipped as `parameters` say.

    images: (count, height, width, channels) float32, left as they are. fill: what shows where a
    shift reaches beyond the image, "constant" for 0 (as scipy has it, wherever the source lies
    outside [0, size - 1], even by a part of a pixel) or "nearest" for the edge. Returns a new
    array of the same shape. With `xp=jax.numpy` it can be compiled; `fill` and `xp` are static.

    Raises CourseError for an unknown fill.
    """
    if fill not in FILLS:
        raise settings.nearest(fill, FILLS, "fill")
    images = xp.asarray(images, xp.float32)
    rows, columns = (xp.asarray(shift, xp.float32)[:, None] for shift in parameters[:2])
    low_rows, low_columns = xp.floor(rows), xp.floor(columns)
    place = _place_windows if xp is np else _place_pixels
    with _small_buffers():
        lines, mixed = _between(images, rows - low_rows, columns - low_columns, fill, xp)
        whole = ShiftFlip(low_rows.astype(int), low_columns.astype(int), parameters.flips)
        result = place(lines, mixed, whole, columns == low_columns, fill, images.shape, xp)
    return result.reshape(images.shape)


def _between(images, rows, columns, fill: str, xp):
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
        before = after = xp.zeros_like(last)
        last = xp.where(rows == 0, last, 0)
    # Flat, with one spare pixel at the end: the neighbour of a row's last pixel is then the next
    # row's first, and the resulting column of nonsense is cut off.
    parts = [before, _mix(flat, rows, line), last, after, after[:, :channels]]
    flat = xp.concatenate(parts, axis=1)
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


def _place_windows(lines, mixed, whole: ShiftFlip, exact, fill: str, shape, xp):
    """What _between returned, shifted by whole pixels and flipped.

    For NumPy: it copies a row of a window at once, in a third of the time of single pixels.
    exact: (count, 1), whether an image meets the last column, its part of a pixel being 0.
    """
    count, height, width, channels = shape
    border = np.abs(whole.columns).max(initial=1)  # wide enough that no window leaves the grid
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
    source = np.clip(np.arange(1, height + 1) + whole.rows, 0, height + 1)
    result = windows[np.arange(count)[:, None], source, start + whole.columns * channels]
    chosen = np.flatnonzero(whole.flips)
    plain = result[chosen]
    flipped = np.empty_like(plain)
    for channel in range(channels):  # long strides beat many copies of three elements
        flipped[:, :, channel::channels] = plain[:, :, channel - channels :: -channels]
    result[chosen] = flipped
    return result


def _place_pixels(lines, mixed, whole: ShiftFlip, exact, fill: str, shape, xp):
    """The same as `_place_windows`, pixel by pixel, for arrays without views and assignment."""
    count, height, width, channels = shape
    before, last = lines[:, :, :channels], lines[:, :, -channels:]
    after = last
    if fill == "constant":
        before = after = xp.zeros_like(last)
        last = xp.where(exact[:, :, None], last, 0)
    grid = xp.concatenate([before, mixed, last, after], axis=2)
    row = xp.clip(xp.arange(1, height + 1) + whole.rows, 0, height + 1)
    row += (height + 2) * xp.arange(count)[:, None]
    column = xp.arange(1, width + 1)
    column = xp.where(xp.asarray(whole.flips)[:, None], column[::-1], column)
    column = xp.clip(column + whole.columns, 0, width + 1)
    pixels = grid.reshape(count * (height + 2) * (width + 2), channels)
    return xp.take(pixels, row[:, :, None] * (width + 2) + column[:, None], axis=0, mode="clip")


@contextlib.contextmanager
def _small_buffers():
    """Keep NumPy 2 from copying short rows into its 8,192-element buffers (2.5 times slower)."""
    before = np.setbufsize(512)
    try:
        yield
    finally:
        np.setbufsize(before)
