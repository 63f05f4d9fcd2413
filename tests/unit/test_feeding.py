from dataclasses import replace

import numpy as np
import pytest

from course_lib import datasets, experiments
from course_lib.datasets import hdf5, synthetic
from course_lib.engine import feeding
from course_lib.experiments import runs
from course_lib.settings import CourseError

GOOD = {"x_train": np.zeros((4, 8, 8, 3), np.uint8), "y_train": np.arange(4)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"x_train": np.zeros((4, 8, 8, 3), np.float32)},  # 0 to 1 would train, on next to nothing
        {"x_train": np.zeros((4, 8, 8), np.uint8)},
        {"x_train": [[0]]},
        {"y_train": np.eye(4)},
        {"y_train": [0, 1, 2, 3]},
        {"y_train": np.arange(3)},
        {"y_train": np.arange(4) + 1},
        {"y_train": np.arange(4) / 4},
        {"y_train": None},
    ],
    ids=str,
)
def test_a_data_set_that_cannot_be_trained_on_is_one_line(wrong):
    parts = GOOD | wrong
    with pytest.raises(CourseError, match="own, train|belong together") as error:
        datasets.Dataset("own", tuple("abcd"), *parts.values(), *GOOD.values())
    assert "\n" not in str(error.value)


def numbered(count=20, classes=1):
    """Images that can be told apart; with one class, each has its number as its label."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count) % classes if classes > 1 else np.arange(count)
    names = tuple(f"class {k}" for k in range(max(labels) + 1))
    return datasets.Dataset("numbered", names, pixels, labels, pixels[:6], labels[:6])


def epochs(data, experiment, seed, start=0, number=2):
    """The batches of some epochs, a list per epoch."""
    stream = feeding.batches(data, experiment, seed, start)
    steps = feeding.steps_per_epoch(len(data.x_train), experiment)
    return [[next(stream) for _ in range(steps)] for _ in range(number)]


@pytest.fixture
def experiment():
    return replace(experiments.get("squeezenet/bn"), batch=8)


# --- batches --------------------------------------------------------------------------------------


def test_every_epoch_shows_each_image_once_in_another_order(experiment):
    shown = [
        [len(y) for _, y in epoch] + [list(np.concatenate([y for _, y in epoch]))]
        for epoch in epochs(numbered(), experiment, seed=1, number=3)
    ]
    assert all(sizes == [8, 8, 4] for *sizes, _ in shown)
    orders = [order for *_, order in shown]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(20)]}) == 4


def test_whole_batches_leave_out_other_images_in_every_epoch(experiment):
    whole = replace(experiment, whole_batches=True)
    shown = [
        np.concatenate([y for _, y in epoch])
        for epoch in epochs(numbered(), whole, seed=1, number=3)
    ]
    assert all(len(set(labels)) == len(labels) == 16 for labels in shown)
    left_out = {frozenset(range(20)) - set(labels) for labels in shown}
    assert len(left_out) == 3


def test_fewer_images_than_a_batch_are_one_step(experiment):
    for whole in (False, True):
        few = replace(experiment, batch=64, whole_batches=whole)
        (((x, y),),) = epochs(numbered(), few, seed=0, number=1)
        assert len(x) == len(y) == 20


def test_a_batch_is_a_function_of_seed_epoch_and_step(experiment):
    data = numbered()
    first, again = (epochs(data, experiment, seed=1, number=3) for _ in range(2))
    later = epochs(data, experiment, seed=1, start=2, number=1)
    other = epochs(data, experiment, seed=2, number=1)
    for a, b in [*zip(first[1], again[1], strict=True), *zip(first[2], later[0], strict=True)]:
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert (first[0][0][1] != other[0][0][1]).any(), "another seed, another order"


def test_every_epoch_and_step_augments_anew(experiment, monkeypatch):
    monkeypatch.setattr(feeding.augment, "order", lambda count, seed, epoch: np.arange(count))
    data = numbered(16)
    data.x_train[:] = data.x_train[0]  # one image sixteen times: only the draws differ
    shown = [x for epoch in epochs(data, experiment, seed=1) for x, _ in epoch]
    for k, batch in enumerate(shown):
        assert all((batch != other).any() for other in shown[:k])


def test_batches_are_standardised_and_leave_the_data_alone(experiment):
    data = numbered()
    before = data.x_train.copy()
    (batch, *_), _ = epochs(data, replace(experiment, augmentation={}), seed=0)
    expected = (before[batch[1]] - np.array(experiment.mean)) / np.array(experiment.deviation)
    assert batch[0].dtype == np.float32 and batch[0].shape == (8, 8, 8, 3)
    np.testing.assert_allclose(batch[0], expected, rtol=1e-5, atol=1e-5)
    epochs(data, experiment, seed=0)
    np.testing.assert_array_equal(data.x_train, before)


def test_batches_of_a_file_are_those_of_an_array(experiment, tmp_path):
    data, file = numbered(), tmp_path / "images.hdf5"
    offset = hdf5.create(file, data.x_train.shape)
    with open(file, "r+b") as raw:
        raw.seek(offset)
        raw.write(data.x_train.tobytes())
    reader = replace(data, x_train=hdf5.Images(file, offset, data.x_train.shape))
    for mean in (experiment.mean, "channel", "pixel"):
        chosen = replace(experiment, mean=mean)
        pairs = (epochs(d, chosen, seed=1, number=1)[0] for d in (data, reader))
        for (x, y), (read, labels) in zip(*pairs, strict=True):
            np.testing.assert_array_equal(x, read)
            np.testing.assert_array_equal(y, labels)


# --- what is subtracted ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 20, 1000, 1001, 2500])
def test_mean_image_is_numpys_mean(count):
    images = np.random.default_rng(count).integers(0, 256, (count, 2, 3, 3), dtype=np.uint8)
    np.testing.assert_allclose(feeding.mean_image(images), images.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("mean, shape", [("channel", (3,)), ("pixel", (8, 8, 3))])
def test_mean_by_name_is_that_of_the_training_images(experiment, mean, shape):
    data = numbered()
    found, deviation = feeding.standards(replace(experiment, mean=mean), data.x_train)
    expected = data.x_train.mean(axis=0 if mean == "pixel" else (0, 1, 2))
    assert found.shape == shape and found.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(deviation, experiment.deviation)
    plain = replace(experiment, mean=mean, deviation=(1.0, 1.0, 1.0), augmentation={})
    batches = epochs(data, plain, seed=0, number=1)[0]
    shown = np.concatenate([x for x, _ in batches])
    np.testing.assert_allclose(shown.mean(axis=0).mean(axis=(0, 1)), 0, atol=1e-4)
    centred = abs(shown.mean(axis=0)).max() < 1e-4
    assert centred == (mean == "pixel"), "of every pixel, or of a channel only"


# --- which images a run sees ----------------------------------------------------------------------


def test_hold_out_takes_the_last_images_unshuffled():
    data = numbered()
    held = feeding.hold_out(data, 5)
    np.testing.assert_array_equal(held.x_train, data.x_train[:15])
    np.testing.assert_array_equal(held.y_train, np.arange(15))
    np.testing.assert_array_equal(held.x_val, data.x_train[15:])
    np.testing.assert_array_equal(held.y_val, [15, 16, 17, 18, 19])
    assert held.x_test is data.x_test and held.y_test is data.y_test
    for wrong in (0, -1, 20, 21):
        with pytest.raises(CourseError, match=f"cannot hold out {wrong} of 20"):
            feeding.hold_out(data, wrong)


def test_images_are_held_out_before_the_budget_is_taken(experiment):
    data = numbered(40, classes=4)
    part = feeding.take(data, replace(experiment, validation=4), images=8, test_images=4)
    np.testing.assert_array_equal(part.x_train, data.x_train[:8])
    np.testing.assert_array_equal(part.x_val, data.x_train[-4:])
    assert len(part.x_test) == 4
    own = replace(data, x_val=data.x_test, y_val=data.y_test)
    kept = feeding.take(own, replace(experiment, validation=4))
    assert len(kept.x_train) == 40 and len(kept.x_val) == 6, "a data set's own validation set stays"
    assert feeding.take(data, experiment).x_val is None


def test_first_classes_leave_no_trace_of_the_others(experiment):
    data = numbered(40, classes=4)
    data = replace(data, x_val=data.x_test, y_val=data.y_test)
    part = feeding.take(data, replace(experiment, first_classes=2), images=6)
    assert part.classes == ("class 0", "class 1")
    np.testing.assert_array_equal(part.y_train, [0, 1] * 3)
    np.testing.assert_array_equal(part.x_train, data.x_train[[0, 1, 4, 5, 8, 9]])
    for labels in (part.y_test, part.y_val):
        np.testing.assert_array_equal(labels, [0, 1, 0, 1])


def test_budgets_are_upper_bounds(experiment):
    data = numbered(40, classes=4)
    for images in (40, 41, 12_800, None):
        np.testing.assert_array_equal(
            feeding.take(data, experiment, images=images).x_train, data.x_train
        )
    uneven = replace(data, y_train=np.array([0] * 30 + [1, 2, 3] + [0] * 7))
    part = feeding.take(uneven, experiment, images=16)
    assert np.bincount(part.y_train).tolist() == [4, 1, 1, 1]
    with pytest.raises(CourseError, match="3 images are not one for each of 4 classes"):
        feeding.take(data, experiment, images=3)


def test_profile_ci_has_images_for_every_experiment():
    """A protocol that holds out more images than were drawn must not keep it from running."""
    drawn = {"synthetic": synthetic.load(), "synthetic-tiny": numbered(200, classes=20)}
    for experiment in map(experiments.get, experiments.ids()):
        config = runs.named(experiment, "ci", 0).configuration()
        data = drawn[config["data"]]
        part = feeding.take(data, experiment, config["images"], config["test_images"])
        assert len(part.x_train) >= 0.9 * len(data.x_train), experiment.id
        assert (part.x_val is not None) == bool(experiment.validation), experiment.id


# --- evaluation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once, sizes", [(8, [8, 8, 4]), (10, [10, 10]), (250, [20])])
def test_evaluation_covers_every_image_once_in_order(at_once, sizes):
    data = numbered()
    mean, deviation = data.x_train.mean(axis=0), np.array([2.0, 3.0, 4.0])
    shown = feeding.Evaluated(data.x_train, data.y_train, mean, deviation, at_once)
    parts = [shown[k] for k in range(len(shown))]
    assert [len(x) for x, _ in parts] == sizes
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), data.y_train)
    np.testing.assert_allclose(
        np.concatenate([x for x, _ in parts]), (data.x_train - mean) / deviation, atol=1e-4
    )


@pytest.mark.parametrize("images", [16, 20, 50_000])
def test_chunks_cover_every_step(experiment, images):
    calls = feeding.chunks_per_epoch(images, experiment)
    whole = images // 8
    at_once = feeding.chunk_of(whole)
    assert at_once <= feeding.CHUNK and whole % at_once == 0
    assert calls == whole // at_once + (images % 8 > 0)
    assert feeding.chunks_per_epoch(5, experiment) == 1
