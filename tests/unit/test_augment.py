"""Shifts and flips: the same pixels as Keras' generator, the same draws for ever."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.datasets import augment, cifar10
from course_lib.datasets.augment import ShiftFlip, shift_flip
from course_lib.settings import CourseError

PROTOCOL = {"shift": 0.125, "size": 32, "flip": True}
FILLS = pytest.mark.parametrize("fill", augment.FILLS)


def pictures(count, height=32, width=32, channels=3, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def parameters(*rows_columns_flips):
    rows, columns, flips = zip(*rows_columns_flips, strict=True)
    return ShiftFlip(np.float32(rows), np.float32(columns), np.array(flips, bool))


def draw(count=64, seed=0, epoch=0, step=0, **changes):
    return augment.draw_shift_flip(
        count, seed=seed, epoch=epoch, step=step, **{**PROTOCOL, **changes}
    )


# Pixels


@pytest.mark.filterwarnings("ignore:.*scipy.ndimage:DeprecationWarning")  # Keras' own
@FILLS
def test_pixels_are_those_of_keras(fill):
    from course_lib.backend import keras  # noqa: F401, without TensorFlow's lines

    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image")
    generator = legacy.ImageDataGenerator(fill_mode=fill, cval=0.0)
    edges = [(0, 0), (4, -4), (-4, 4), (1, 0), (0, -1), (-3, 0.25), (0.5, 3), (31, 0), (-31.5, 0)]
    drawn = draw(100, seed=3)
    chosen = parameters(
        *[(rows, columns, flip) for rows, columns in edges for flip in (False, True)],
        *zip(*drawn, strict=True),
    )
    images = pictures(len(chosen.rows))
    ours = shift_flip(images, chosen, fill=fill)
    for image, result, rows, columns, flip in zip(images, ours, *chosen, strict=True):
        same = {"tx": float(columns), "ty": float(rows), "flip_horizontal": bool(flip)}
        np.testing.assert_allclose(result, generator.apply_transform(image, same), atol=1e-4)
    assert ours.dtype == np.float32


def shifted_by_slicing(image, rows, columns, fill):
    """Whole pixels only: look at the image with a wide frame around it."""
    reach = 12
    frame = ((reach, reach), (reach, reach), (0, 0))
    wide = np.pad(image, frame, mode="constant" if fill == "constant" else "edge")
    height, width, _ = image.shape
    return wide[reach + rows : reach + rows + height, reach + columns : reach + columns + width]


@FILLS
@given(
    rows=st.integers(-10, 10),
    columns=st.integers(-10, 10),
    flip=st.booleans(),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    channels=st.integers(1, 4),
)
def test_a_shift_by_whole_pixels_is_slicing(fill, rows, columns, flip, height, width, channels):
    image = pictures(1, height, width, channels)
    result = shift_flip(image, parameters((rows, columns, flip)), fill=fill)[0]
    expected = shifted_by_slicing(image[0], rows, columns, fill)
    np.testing.assert_array_equal(result, expected[:, ::-1] if flip else expected)


def test_signs_and_the_order_of_shift_and_flip():
    image = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    up_and_left = shift_flip(image, parameters((1, 1, False)), fill="constant")
    assert up_and_left[0, :, :, 0].tolist() == [[5, 6, 0], [8, 9, 0], [0, 0, 0]]
    flipped_after = shift_flip(image, parameters((1, 1, True)), fill="constant")
    assert flipped_after[0, :, :, 0].tolist() == [[0, 6, 5], [0, 9, 8], [0, 0, 0]]


def test_parts_of_a_pixel_are_interpolated_and_the_edge_filled():
    image = np.float32([0, 4, 8, 12]).reshape(1, 1, 4, 1).repeat(3, axis=1)
    quarter = parameters((0, 0.25, False))
    # The last pixel's source, 3.25, lies beyond the last column, 3.
    assert shift_flip(image, quarter, fill="constant")[0, 0, :, 0].tolist() == [1, 5, 9, 0]
    assert shift_flip(image, quarter, fill="nearest")[0, 0, :, 0].tolist() == [1, 5, 9, 12]
    back = parameters((0, -0.25, False))
    assert shift_flip(image, back, fill="constant")[0, 0, :, 0].tolist() == [0, 3, 7, 11]
    assert shift_flip(image, back, fill="nearest")[0, 0, :, 0].tolist() == [0, 3, 7, 11]


@FILLS
def test_two_flips_are_none(fill):
    images = pictures(5)
    flips = parameters(*[(0, 0, True)] * 5)
    once = shift_flip(images, flips, fill=fill)
    np.testing.assert_array_equal(once, images[:, :, ::-1])
    np.testing.assert_array_equal(shift_flip(once, flips, fill=fill), images)


@FILLS
def test_an_image_does_not_depend_on_its_neighbours(fill):
    images, drawn = pictures(16), draw(16)
    together = shift_flip(images, drawn, fill=fill)
    for number in range(16):
        alone = ShiftFlip(*(part[number : number + 1] for part in drawn))
        np.testing.assert_array_equal(
            shift_flip(images[number : number + 1], alone, fill=fill)[0], together[number]
        )


@FILLS
def test_the_input_stays_as_it_is(fill):
    images = pictures(8)
    before = images.copy()
    result = shift_flip(images, draw(8), fill=fill)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(images, result)


@FILLS
def test_no_images_are_no_error(fill):
    assert shift_flip(pictures(0), draw(0), fill=fill).shape == (0, 32, 32, 3)


@FILLS
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    whole=st.lists(st.integers(-5, 5), min_size=2, max_size=2),
    shift=st.sampled_from([0, 0.1, 0.125, 0.2, 1.5]),
)
def test_jax_moves_the_same_pixels(fill, seed, whole, shift):
    jax = pytest.importorskip("jax")
    images = pictures(6, 8, 9, seed=seed)
    drawn = draw(6, seed=seed, shift=shift, size=8)
    drawn.rows[0], drawn.columns[1] = whole
    compiled = jax.jit(shift_flip, static_argnames=("fill", "xp"))
    theirs = compiled(images, drawn, fill=fill, xp=jax.numpy)
    ours = shift_flip(images, drawn, fill=fill)
    assert theirs.dtype == ours.dtype == np.float32
    np.testing.assert_allclose(np.asarray(theirs), ours, atol=1e-5)


def test_an_unknown_fill_names_the_choices():
    with pytest.raises(CourseError, match="did you mean nearest"):
        shift_flip(pictures(1), draw(1), fill="neerest")


def test_no_loop_runs_over_images():
    def lines(count):
        """The lines of augment.py that a batch of `count` images goes through."""
        total = 0
        images, drawn = np.zeros((count, 32, 32, 3), np.uint8), draw(count)

        def count_lines(frame, event, _):
            nonlocal total
            if frame.f_code.co_filename != augment.__file__:
                return None
            total += event == "line"
            return count_lines

        before = sys.gettrace()
        sys.settrace(count_lines)
        try:
            standard = augment.standardise(images, cifar10.MEAN, cifar10.DEVIATION)
            shift_flip(standard, drawn, fill="constant")
            shift_flip(standard, drawn, fill="nearest")
        finally:
            sys.settrace(before)
        return total

    assert 20 < lines(4) == lines(64)


def test_numpys_buffer_size_is_given_back():
    before = np.getbufsize()
    shift_flip(pictures(2), draw(2), fill="constant")
    with pytest.raises(ValueError):  # three images, two shifts
        shift_flip(pictures(3), draw(2), fill="constant")
    assert np.getbufsize() == before


# Draws


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_draws_are_a_function_of_seed_epoch_and_step():
    np.random.seed(0)  # noqa: NPY002, a state that must not matter
    first = draw(seed=1, epoch=2, step=3)
    np.random.seed(1)  # noqa: NPY002
    draw(seed=5)
    assert same(first, draw(seed=1, epoch=2, step=3))


def test_no_two_places_share_a_draw():
    places = [(s, e, t) for s in range(3) for e in range(3) for t in range(3)]
    rows = {draw(seed=s, epoch=e, step=t).rows.tobytes() for s, e, t in places}
    assert len(rows) == len(places)


def test_draws_have_not_changed_since_the_first_record():
    """Records made with these draws could no longer be repeated if this failed."""
    rows, columns, flips = draw(3, seed=1, epoch=2, step=3)
    assert rows.tolist() == pytest.approx([1.302896, -2.276502, 1.046906])
    assert columns.tolist() == pytest.approx([1.336622, -0.945439, -1.308421])
    assert flips.tolist() == [True, True, False]
    assert augment.order(8, seed=1, epoch=2).tolist() == [1, 3, 0, 7, 2, 5, 6, 4]


def test_shifts_are_uniform_and_half_the_images_flip():
    rows, columns, flips = draw(20_000)
    for shifts in (rows, columns):
        assert shifts.dtype == np.float32
        assert np.abs(shifts).max() <= 4
        counts, _ = np.histogram(shifts, bins=8, range=(-4, 4))
        assert counts.min() > 2300 and counts.max() < 2700  # 2,500 expected, deviation 47
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.03
    assert flips.dtype == bool
    assert 0.48 < flips.mean() < 0.52


def test_flips_and_shifts_can_be_switched_off():
    rows, columns, flips = draw(flip=False)
    assert not flips.any()
    assert same((rows, columns), draw()[:2])  # and the shifts stay what they were
    assert not draw(shift=0).rows.any()


def test_an_epochs_order_is_a_permutation_of_its_own():
    orders = [augment.order(1000, seed, epoch) for seed in range(3) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(1000))
    assert len({order.tobytes() for order in orders}) == 9
    assert np.array_equal(augment.order(1000, 2, 1), orders[7])


# Standardisation


def test_standardised_images_have_mean_0_and_deviation_1():
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    images[..., 2] //= 3
    pixels = images.reshape(-1, 3)
    result = augment.standardise(images, pixels.mean(axis=0), pixels.std(axis=0))
    assert result.dtype == np.float32
    assert result.shape == images.shape
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_cifar10_is_standardised_by_channel():
    grey = np.full((1, 2, 2, 3), 128, np.uint8)
    result = augment.standardise(grey, cifar10.MEAN, cifar10.DEVIATION)
    expected = [(128 - 125.307) / 62.9932, (128 - 122.95) / 62.0887, (128 - 113.865) / 66.7048]
    np.testing.assert_allclose(result[0, 1, 0], expected, rtol=1e-6)
    assert grey.dtype == np.uint8 and grey[0, 0, 0, 0] == 128


def test_the_data_side_imports_neither_keras_nor_tensorflow():
    program = (
        "import sys; from course_lib.datasets import augment, cifar10, download;"
        "sys.exit(bool({'keras', 'tensorflow', 'jax', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
