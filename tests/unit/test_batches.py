from dataclasses import replace

import numpy as np
import pytest

from course_lib import datasets, experiments, training


def numbered(count=20):
    """Images that can be told apart, each with a label of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count)
    return datasets.Dataset("numbered", ("any",), pixels, labels, pixels[:2], labels[:2])


def epochs(data, experiment, seed, start=0, number=2):
    """The batches of some epochs, a list per epoch."""
    stream = training.batches(data, experiment, seed, start)
    steps = training.steps_per_epoch(len(data.x_train), experiment.batch)
    return [[next(stream) for _ in range(steps)] for _ in range(number)]


@pytest.fixture
def experiment():
    return replace(experiments.get("squeezenet/bn"), batch=8)


def test_every_epoch_shows_each_image_once_in_another_order(experiment):
    shown = [
        [len(y) for _, y in epoch] + [list(np.concatenate([y for _, y in epoch]))]
        for epoch in epochs(numbered(), experiment, seed=1, number=3)
    ]
    assert all(sizes == [8, 8, 4] for *sizes, _ in shown)
    orders = [order for *_, order in shown]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(20)]}) == 4
    assert training.steps_per_epoch(50_000, 64) == 782


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
    monkeypatch.setattr(training.augment, "order", lambda count, seed, epoch: np.arange(count))
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
