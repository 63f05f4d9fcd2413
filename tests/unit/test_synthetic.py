from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course_lib import datasets
from course_lib.datasets import synthetic


@pytest.fixture(scope="module")
def data():
    return synthetic.load()


@pytest.fixture(scope="module")
def pair():
    """2,000 images of the two classes that share their histograms; label 1 is the second."""
    numbers = [synthetic.CLASSES.index(name) for name in synthetic.SAME_HISTOGRAM]
    rng = np.random.default_rng(42)
    labels = rng.permutation(np.repeat(numbers, 1000))
    return synthetic.draw(labels, rng), (labels == numbers[1]).astype(int)


def pixels(images):
    return images.reshape(len(images), -1) / 255 - 0.5


def sorted_pixels(images):
    """The multiset of each image's pixels as 24-bit numbers in ascending order."""
    return np.sort(images.astype(np.int64).reshape(len(images), -1, 3) @ [65536, 256, 1], axis=1)


def neighbourhood_features(images, filters=64):
    """A fixed layer of random 3x3 filters, then global pooling: a network that never learned."""
    x = images.astype(np.float32) / 255
    x -= x.mean((1, 2), keepdims=True)
    x /= x.std((1, 2, 3), keepdims=True) + 0.05
    kernel = np.random.default_rng(0).standard_normal((27, filters)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    out = windows.reshape(len(x), -1, 27) @ (kernel - kernel.mean(0))
    pooled = np.maximum(out, 0).mean(1), np.maximum(-out, 0).mean(1), out.std(1), out.max(1)
    return np.concatenate(pooled, axis=1)


def test_shapes_types_and_names(data):
    assert data.name == "synthetic"
    assert data.x_train.shape == (2000, 32, 32, 3)
    assert data.x_test.shape == (500, 32, 32, 3)
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.classes == synthetic.CLASSES
    assert len(set(data.classes)) == 10
    assert set(synthetic.SAME_HISTOGRAM) <= set(data.classes)
    assert datasets.load("synthetic").fingerprint() == data.fingerprint()


def test_content_is_of_the_whole_and_order_of_what_is_seen():
    data = datasets.load("synthetic")
    assert data.content == data.fingerprint()
    part = data.subset(100, 50)
    assert part.content == data.content != part.fingerprint() != part.order()
    backwards = replace(data, x_train=data.x_train[::-1], y_train=data.y_train[::-1])
    assert backwards.fingerprint() == data.fingerprint() and backwards.order() != data.order()
    assert replace(data, x_val=data.x_test, y_val=data.y_test).order() != data.order()


def test_classes_are_balanced_and_mixed(data):
    assert (np.bincount(data.y_train) == 200).all()
    assert (np.bincount(data.y_test) == 50).all()
    assert (np.bincount(data.y_train[:500]) > 25).all(), "a batch must hold all classes"
    uneven = synthetic.load(images=23, test_images=7)
    counts = np.bincount(uneven.y_train, minlength=10)
    assert len(uneven.x_test) == 7 and counts.max() - counts.min() == 1


def test_equal_seeds_draw_equal_images_and_others_do_not():
    first, again, other = (synthetic.load(60, 30, seed).fingerprint() for seed in (3, 3, 4))
    assert first == again != other


def test_no_test_image_is_a_training_image(data):
    seen = {image.tobytes() for image in data.x_train}
    assert len(seen) == 2000
    assert not seen & {image.tobytes() for image in data.x_test}
    # Equal counts draw equally many numbers: only separate streams keep these two apart.
    twins = synthetic.load(images=100, test_images=100)
    assert (twins.x_train != twins.x_test).any()


def test_pair_differs_by_a_transpose_only():
    first, second = (synthetic.CLASSES.index(name) for name in synthetic.SAME_HISTOGRAM)
    a = synthetic.draw(np.full(200, first), np.random.default_rng(5))
    b = synthetic.draw(np.full(200, second), np.random.default_rng(5))
    assert (a != b).any((1, 2, 3)).all()
    np.testing.assert_array_equal(a, b.swapaxes(1, 2))
    np.testing.assert_array_equal(sorted_pixels(a), sorted_pixels(b))


def test_pair_is_at_chance_for_histograms_and_clear_to_a_neighbourhood(pair):
    images, labels = pair
    # Joint histogram over 4 x 4 x 4 colours, and each channel's quantiles.
    codes = (images // 64).astype(int) @ [16, 4, 1]
    joint = np.stack([np.bincount(code.ravel(), minlength=64) for code in codes]) / 1024
    quantiles = np.quantile(images.reshape(len(images), -1, 3), np.linspace(0, 1, 11), axis=1)
    histograms = np.hstack([joint, quantiles.transpose(1, 0, 2).reshape(len(images), -1)])
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    by_histogram = model.fit(histograms[:1000], labels[:1000]).score(
        histograms[1000:], labels[1000:]
    )
    # Standard error of 1,000 coin tosses: 1.6 points.
    assert 0.42 < by_histogram < 0.58, "no histogram may tell the pair apart"

    # Two 3x3 filters, one for each direction.
    x = images.astype(float)
    across = np.abs(x[:, :, 2:] - x[:, :, :-2]).mean((1, 2, 3))
    down = np.abs(x[:, 2:] - x[:, :-2]).mean((1, 2, 3))
    assert ((across > down) == labels).mean() > 0.98


@pytest.mark.slow
def test_linear_model_stays_far_below_features_of_3x3_neighbourhoods(data):
    linear = RidgeClassifier(alpha=1000).fit(pixels(data.x_train), data.y_train)
    on_pixels = linear.score(pixels(data.x_test), data.y_test)
    local = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1)).fit(
        neighbourhood_features(data.x_train), data.y_train
    )
    on_neighbourhoods = local.score(neighbourhood_features(data.x_test), data.y_test)
    assert on_pixels < 0.3  # measured 0.22
    assert on_neighbourhoods > 0.7  # measured 0.82
