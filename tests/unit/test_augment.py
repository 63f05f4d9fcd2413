"""The same pixels as Keras' generator, the same draws for ever."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import experiments
from course_lib.datasets import augment
from course_lib.datasets.augment import Draw, move
from course_lib.settings import CourseError

SHIFT_FLIP = {"shift": 0.125, "flip": True}
AFFINE = {"rotation": 40, "shift": 0.2, "zoom": 0.2, "shear": 20, "flip": True}
FILLS = pytest.mark.parametrize("fill", augment.FILLS)
OPTIONS = pytest.mark.parametrize("options", [SHIFT_FLIP, AFFINE])


def pictures(count, height=32, width=32, channels=3, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def still(count):
    """Parameters that move nothing, in arrays that may be changed."""
    zeros = (np.zeros(count, np.float32) for _ in range(4))
    ones = (np.ones(count, np.float32) for _ in range(2))
    rows, columns, angles, shears = zeros
    return Draw(rows, columns, np.zeros(count, bool), angles, shears, *ones)


def parameters(*rows_columns_flips):
    rows, columns, flips = zip(*rows_columns_flips, strict=True)
    same = still(len(rows))
    return same._replace(rows=np.float32(rows), columns=np.float32(columns), flips=np.array(flips))


def draw(count=64, options=SHIFT_FLIP, size=32, seed=0, epoch=0, step=0):
    return augment.draw(options, count, size=size, seed=seed, epoch=epoch, step=step)


# Pixels


def moved_by_keras(images, drawn, fill):
    from course_lib.backend import keras  # noqa: F401, without TensorFlow's lines

    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image")
    generator = legacy.ImageDataGenerator(fill_mode=fill, cval=0.0)
    names = ("ty", "tx", "flip_horizontal", "theta", "shear", "zy", "zx")
    result = []
    for image, *values in zip(images, *drawn, strict=True):
        chosen = dict(zip(names, (value.item() for value in values), strict=True))
        result.append(generator.apply_transform(image, chosen))
    return np.array(result)


kerass_own_warning = pytest.mark.filterwarnings("ignore:.*scipy.ndimage:DeprecationWarning")


@kerass_own_warning
@FILLS
def test_shifts_and_flips_are_those_of_keras(fill):
    edges = [(0, 0), (4, -4), (-4, 4), (1, 0), (0, -1), (-3, 0.25), (0.5, 3), (31, 0), (-31.5, 0)]
    drawn = draw(100, seed=3)
    chosen = parameters(
        *[(rows, columns, flip) for rows, columns in edges for flip in (False, True)],
        *zip(*drawn[:3], strict=True),
    )
    images = pictures(len(chosen.rows))
    ours = move(images, chosen, fill=fill)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, moved_by_keras(images, chosen, fill), atol=1e-4)


@kerass_own_warning
@FILLS
@pytest.mark.parametrize(
    "options",
    [
        {"rotation": 180},
        {"shear": 60},
        {"zoom": 0.5},
        {"rotation": 40, "shift": 0.2, "zoom": 0.2, "shear": 0.2, "flip": True},
        {"rotation": 90, "shift": 0.5, "zoom": 0.5, "shear": 40, "flip": True},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("size", [8, 32])  # odd: sources on the very edge, rounded either way
def test_each_transformation_and_all_together_are_those_of_keras(options, fill, size):
    images = pictures(40, size, size)
    drawn = draw(40, options, size)
    ours = move(images, drawn, fill=fill)
    np.testing.assert_allclose(ours, moved_by_keras(images, drawn, fill), atol=1e-3)
    assert np.abs(ours - images).max() > 1, "and something moved"


@FILLS
def test_the_fast_way_and_the_general_one_agree_on_shifts_and_flips(fill, monkeypatch):
    images = pictures(200, 12, 12)
    edges = [(r, c, f) for r in (-12, -3, 0, 1, 11) for c in (-1, 0, 4.5) for f in (True, False)]
    drawn = draw(200 - len(edges), {"shift": 0.5, "flip": True}, 12)
    drawn = parameters(*edges, *zip(*drawn[:3], strict=True))
    fast = move(images, drawn, fill=fill)
    monkeypatch.setattr(augment, "_shift_flip", None)
    angles = drawn.angles.copy()
    angles[-1] = 1e-20  # is enough for the general way
    general = move(images, drawn._replace(angles=angles), fill=fill)
    np.testing.assert_allclose(general, fast, atol=1e-4)


def test_many_images_are_taken_a_few_at_a_time(monkeypatch):
    images, drawn = pictures(50), draw(50, AFFINE)
    together = move(images, drawn, fill="nearest")
    for at_once in (1, 7 * 32 * 32, 50 * 32 * 32):  # the first less than an image
        monkeypatch.setattr(augment, "AT_ONCE", at_once)
        np.testing.assert_array_equal(move(images, drawn, fill="nearest"), together)


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
    result = move(image, parameters((rows, columns, flip)), fill=fill)[0]
    expected = shifted_by_slicing(image[0], rows, columns, fill)
    np.testing.assert_array_equal(result, expected[:, ::-1] if flip else expected)


@OPTIONS
@FILLS
def test_an_image_does_not_depend_on_its_neighbours(options, fill):
    images, drawn = pictures(16), draw(16, options)
    together = move(images, drawn, fill=fill)
    for number in range(16):
        alone = Draw(*(part[number : number + 1] for part in drawn))
        np.testing.assert_array_equal(
            move(images[number : number + 1], alone, fill=fill)[0], together[number]
        )


@OPTIONS
@FILLS
def test_the_input_stays_as_it_is(options, fill):
    images, drawn = pictures(8), draw(8, options)
    before, drawn_before = images.copy(), [part.copy() for part in drawn]
    result = move(images, drawn, fill=fill)
    np.testing.assert_array_equal(images, before)
    assert same(drawn, drawn_before)
    assert not np.shares_memory(images, result)


@FILLS
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    whole=st.lists(st.integers(-5, 5), min_size=2, max_size=2),
    shift=st.sampled_from([0, 0.1, 0.125, 0.2, 1]),
    options=st.sampled_from([{}, {"flip": True}, AFFINE]),
)
def test_jax_moves_the_same_pixels(fill, seed, whole, shift, options):
    jax = pytest.importorskip("jax")
    images = pictures(6, 8, 9, seed=seed)
    drawn = draw(6, {**options, "shift": shift}, 8, seed=seed)
    drawn.rows[0], drawn.columns[1] = whole
    compiled = jax.jit(move, static_argnames=("fill", "xp"))
    theirs = compiled(images, drawn, fill=fill, xp=jax.numpy)
    ours = move(images, drawn, fill=fill)
    assert theirs.dtype == ours.dtype == np.float32
    np.testing.assert_allclose(np.asarray(theirs), ours, atol=1e-4)


def test_an_unknown_fill_or_option_names_the_choices():
    with pytest.raises(CourseError, match="did you mean nearest"):
        move(pictures(1), draw(1), fill="neerest")
    with pytest.raises(CourseError, match="did you mean rotation"):
        draw(options={"rotations": 40})


def test_numpys_buffer_size_is_given_back():
    before = np.getbufsize()
    move(pictures(2), draw(2), fill="constant")
    with pytest.raises(ValueError):  # three images, two shifts
        move(pictures(3), draw(2), fill="constant")
    assert np.getbufsize() == before


# Draws


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_no_two_places_share_a_draw():
    places = [(s, e, t) for s in range(3) for e in range(3) for t in range(3)]
    rows = {draw(seed=s, epoch=e, step=t).rows.tobytes() for s, e, t in places}
    assert len(rows) == len(places)


def test_draws_have_not_changed_since_the_first_record():
    """Records made with these draws could no longer be repeated if this failed."""
    rows, columns, flips, *_ = draw(3, seed=1, epoch=2, step=3)
    assert rows.tolist() == pytest.approx([1.302896, -2.276502, 1.046906])
    assert columns.tolist() == pytest.approx([1.336622, -0.945439, -1.308421])
    assert flips.tolist() == [True, True, False]
    assert augment.order(8, seed=1, epoch=2).tolist() == [1, 3, 0, 7, 2, 5, 6, 4]
    _, _, _, *others = draw(2, AFFINE, seed=1, epoch=2, step=3)
    angles, shears, zooms_rows, zooms_columns = (values.tolist() for values in others)
    assert angles == pytest.approx([-4.392687, -33.374123])
    assert shears == pytest.approx([10.51934, -9.988315])
    assert zooms_rows == pytest.approx([0.990918, 1.135185])
    assert zooms_columns == pytest.approx([1.172709, 0.900604])


def test_pixels_have_not_changed_since_the_first_record():
    """Nor have the shifted and flipped pixels, to the last bit."""
    images = (np.arange(4 * 32 * 32 * 3) * 7919 % 256).astype(np.uint8).reshape(4, 32, 32, 3)
    plain = experiments.get("squeezenet/plain")
    images = augment.standardise(images, plain.mean, plain.deviation)
    found = {
        fill: zlib.crc32(move(images, draw(4, seed=1), fill=fill).tobytes())
        for fill in augment.FILLS
    }
    assert found == {"constant": 4153316976, "nearest": 1979322170}


@pytest.mark.parametrize(
    "options",
    [{"shift": 4}, {"shift": -0.1}, {"zoom": (0.8, 1.2)}, {"rotation": "40"}, {"fill": "wrap"},
     {"shear": float("nan")}, {"shifts": 0.1}],
    ids=str,
)  # fmt: skip
def test_options_that_mean_nothing_here_are_one_line(options):
    with pytest.raises(CourseError) as error:
        draw(1, options)
    assert "\n" not in str(error.value)


def test_shifts_are_uniform_and_half_the_images_flip():
    rows, columns, flips, *_ = draw(20_000)
    for shifts in (rows, columns):
        assert shifts.dtype == np.float32
        assert np.abs(shifts).max() <= 4
        counts, _ = np.histogram(shifts, bins=8, range=(-4, 4))
        assert counts.min() > 2300 and counts.max() < 2700  # 2,500 expected, deviation 47
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.03
    assert flips.dtype == bool
    assert 0.48 < flips.mean() < 0.52


def test_angles_shears_and_zooms_are_uniform_and_independent():
    options = {"rotation": 18, "shear": 0.15, "zoom": 0.2}
    drawn = draw(20_000, options)
    ranges = {"angles": (-18, 18), "shears": (-0.15, 0.15)}
    ranges |= {"zooms_rows": (0.8, 1.2), "zooms_columns": (0.8, 1.2)}
    for name, (low, high) in ranges.items():
        values = getattr(drawn, name)
        assert values.dtype == np.float32
        counts, _ = np.histogram(values, bins=8, range=(low, high))
        assert counts.sum() >= 19_999  # one may be rounded beyond the range
        assert counts.min() > 2300 and counts.max() < 2700  # 2,500 expected, deviation 47
    apart = np.corrcoef([getattr(drawn, name) for name in ranges]) - np.eye(4)
    assert np.abs(apart).max() < 0.03


@pytest.mark.parametrize("off", ["shift", "flip", "rotation", "zoom", "shear"])
def test_what_is_switched_off_changes_nothing_else(off):
    every = draw(options=AFFINE)
    fewer = draw(options={k: v for k, v in AFFINE.items() if k != off})
    assert same(fewer, draw(options={**AFFINE, off: 0}))
    fields = {"shift": ["rows", "columns"], "flip": ["flips"], "rotation": ["angles"]}
    fields |= {"zoom": ["zooms_rows", "zooms_columns"], "shear": ["shears"]}
    for name, with_it, without in zip(Draw._fields, every, fewer, strict=True):
        if name in fields[off]:
            assert (without == name.startswith("zooms")).all()
            assert (with_it != without).any()
        else:
            np.testing.assert_array_equal(with_it, without)


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


def test_a_mean_image_is_subtracted_pixel_by_pixel():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    mean = images.mean(axis=0)
    result = augment.standardise(images, mean, 255)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (images - mean) / 255, atol=1e-6)
    jax = pytest.importorskip("jax")
    theirs = augment.standardise(jax.numpy.asarray(images), mean, (255,) * 3, xp=jax.numpy)
    np.testing.assert_allclose(np.asarray(theirs), result, atol=1e-6)


def test_the_data_side_imports_neither_keras_nor_tensorflow():
    program = (
        "import sys; from course_lib.datasets import augment, cifar10, download;"
        "sys.exit(bool({'keras', 'tensorflow', 'jax', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
