"""The course's batch normalisation against Keras' own layer."""

import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.models.normalization import BatchNormalization

# Keras' own, when it reads a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RNG = np.random.default_rng(0)
OPTIONS = {"momentum": 0.9, "epsilon": 1e-5}


def passed(model, x, training=True):
    # float32: NumPy 1 has no common type for bfloat16 and a number.
    return keras.ops.convert_to_numpy(model(x, training=training)).astype("float32")


def pair(shape, **options):
    """A model of each layer on inputs of `shape`, with the same weights."""
    models = []
    for layer in (layers.BatchNormalization, BatchNormalization):
        model = keras.Sequential([keras.Input(shape), layer(**OPTIONS, **options)])
        model.compile(keras.optimizers.SGD(1.0), "mse")
        models.append(model)
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 1.5, w.shape) for w in models[0].get_weights()]
    for model in models:
        model.set_weights(weights)
    return models


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((6, 6, 5), {}),
        ((1, 1, 5), {}),  # few values: here n and n - 1 differ most
        ((5,), {}),
        ((6, 6, 5), {"scale": False}),
        ((6, 6, 5), {"axis": 1}),
        ((6, 6, 5), {"dtype": "mixed_bfloat16"}),
    ],
)
def test_a_step_changes_what_a_step_of_keras_changes(shape, options):
    theirs, ours = pair(shape, **options)
    x = RNG.normal(3, 2, (4, *shape)).astype("float32")
    y = RNG.normal(size=(4, *shape)).astype("float32")
    near = {"rtol": 1e-2, "atol": 1e-2} if "dtype" in options else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(passed(ours, x), passed(theirs, x), **near)
    before = ours.get_weights()
    losses = [model.train_on_batch(x, y) for model in (theirs, ours)]
    assert losses[1] == pytest.approx(losses[0], rel=near["rtol"])
    for one, other, old in zip(theirs.get_weights(), ours.get_weights(), before, strict=True):
        np.testing.assert_allclose(other, one, **near)
        assert not np.array_equal(other, old)
    np.testing.assert_allclose(passed(ours, x, False), passed(theirs, x, False), **near)


def test_a_small_epsilon_counts_in_full():
    theirs, ours = pair((6, 6, 5))
    x = RNG.normal(0, 1e-3, (4, 6, 6, 5)).astype("float32")  # a variance below epsilon, 1e-5
    np.testing.assert_allclose(passed(ours, x), passed(theirs, x), rtol=1e-4, atol=1e-5)


def test_frozen_it_uses_and_keeps_its_moving_statistics():
    theirs, ours = pair((6, 6, 5))
    x = RNG.normal(3, 2, (4, 6, 6, 5)).astype("float32")
    before = ours.get_weights()
    ours.trainable = theirs.trainable = False
    np.testing.assert_allclose(passed(ours, x), passed(theirs, x), rtol=1e-5)
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a kernel of TensorFlow")
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_on_tensorflow_a_training_step_is_one_kernel(precision):
    import tensorflow as tf

    layer = BatchNormalization(dtype=precision)
    layer.build((None, 6, 6, 5))
    step = tf.function(lambda x: layer(x, training=True))
    images = tf.TensorSpec((None, 6, 6, 5), layer.compute_dtype)
    operations = step.get_concrete_function(images).graph.get_operations()
    kernels = [op for op in operations if op.type == "FusedBatchNormV3"]
    assert len(kernels) == 1
    assert kernels[0].inputs[0].dtype == layer.compute_dtype  # not a copy in float32
    assert {x.dtype for x in kernels[0].inputs[1:]} == {tf.float32}
    assert "SquaredDifference" not in {op.type for op in operations}  # the moments by themselves


def test_it_is_saved_and_loaded(tmp_path):
    model = pair((6, 6, 5))[1]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is layers.BatchNormalization, "by Keras alone"
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
