import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.measure import signals

# Keras under NumPy 2, on JAX: nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def network(*chain, shape=(2, 2, 2)):
    x = inputs = keras.Input(shape)
    for layer in chain:
        x = layer(x)
    return keras.Model(inputs, x)


def test_size_and_difference_by_hand():
    """Two images of two pixels: (1, 2) and (10, 2), (3, 2) and (10, 2)."""
    model = network(layers.Conv2D(2, 1, name="conv"), shape=(1, 2, 2))
    model.get_layer("conv").set_weights([np.array([[[[1, 0], [0, 2]]]]), np.array([0, 1])])
    images = np.array([[[[1, 2], [10, 2]]], [[[3, 2], [10, 2]]]], "float32")
    (signal,) = signals.forward(model, images, ["conv"])
    assert signal.layer == "conv"
    # Outputs (1, 5), (10, 5) and (3, 5), (10, 5): only one unit in four tells the images apart.
    assert signal.size == pytest.approx(np.sqrt((1 + 25 + 100 + 25 + 9 + 25 + 100 + 25) / 8))
    assert signal.difference == pytest.approx(np.sqrt((1 + 0 + 0 + 0) / 4))


def test_names_are_answered_in_their_order():
    model = network(layers.Conv2D(3, 1, name="conv"), layers.ReLU(name="relu"))
    images = np.random.default_rng(0).normal(size=(4, 2, 2, 2)).astype("float32")
    found = signals.forward(model, images, ["relu", "conv"])
    assert [s.layer for s in found] == ["relu", "conv"]
    assert found[0].size < found[1].size


def test_batch_normalisation_uses_the_batch_as_the_first_training_step_does():
    model = network(layers.Conv2D(3, 1), layers.BatchNormalization(epsilon=0.0, name="bn"))
    images = 50 + np.random.default_rng(0).normal(size=(64, 2, 2, 2)).astype("float32")
    (signal,) = signals.forward(model, images, ["bn"])
    assert signal.size == pytest.approx(1, abs=0.01)


def test_gradients_against_finite_differences():
    rng = np.random.default_rng(0)
    model = network(
        layers.Conv2D(3, 1, activation="relu", name="first", kernel_regularizer="l2"),
        layers.Conv2D(3, 2, name="second"),
        layers.Flatten(),
        layers.Softmax(),
    )
    for layer, scale in (("first", 1.0), ("second", 0.5)):
        kernel, bias = model.get_layer(layer).get_weights()
        new = rng.normal(0, scale, kernel.shape), rng.normal(0, 1, bias.shape)
        model.get_layer(layer).set_weights(new)
    images = rng.normal(size=(16, 2, 2, 2)).astype("float32")
    labels = rng.integers(0, 3, 16)

    def loss():  # without the weight decay of "first"
        chosen = keras.ops.convert_to_numpy(model(images))[np.arange(16), labels]
        return -np.log(chosen.astype(np.float64)).mean()

    found = signals.gradients(model, images, labels)
    assert list(found) == ["first", "second"]
    for name, ratio in found.items():
        layer, step = model.get_layer(name), 1e-2
        kernel, bias = layer.get_weights()
        gradient = np.empty_like(kernel)
        for at in np.ndindex(kernel.shape):
            sides = []
            for sign in (1, -1):
                moved = kernel.copy()
                moved[at] += sign * step
                layer.set_weights([moved, bias])
                sides.append(loss())
            gradient[at] = (sides[0] - sides[1]) / (2 * step)
        layer.set_weights([kernel, bias])
        assert ratio == pytest.approx(np.linalg.norm(gradient) / np.linalg.norm(kernel), rel=0.02)


def test_halves_of_the_images_agree_where_they_are_the_same():
    """Every image twice in a row gives equal halves; every second one negated, opposite ones."""
    model = network(layers.Conv2D(2, 1, use_bias=False, name="conv"), layers.Flatten(),
                    layers.Softmax(), shape=(1, 1, 2))  # fmt: skip
    images = np.random.default_rng(0).normal(size=(4, 1, 1, 2)).astype("float32")
    twice, labels = np.repeat(images, 2, axis=0), np.repeat([0, 1, 1, 0], 2)
    assert signals.agreement(model, twice, labels)["conv"] == pytest.approx(1)
    model.get_layer("conv").kernel.assign(np.zeros((1, 1, 2, 2)))
    twice[1::2] *= -1
    assert signals.agreement(model, twice, labels)["conv"] == pytest.approx(-1)


def test_measuring_leaves_the_network_as_it_was():
    model = network(
        layers.Conv2D(3, 1, name="conv"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Softmax(),
    )
    before = [np.asarray(v).copy() for v in model.variables]
    images = np.random.default_rng(0).normal(3, 2, size=(8, 2, 2, 2)).astype("float32")
    signals.forward(model, images, ["conv"])
    signals.gradients(model, images, np.zeros(8, int))
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, np.asarray(variable), err_msg=variable.path)


def test_signal_of_plain_squeezenet_dies_and_he_keeps_it_alive():
    """The mechanism of the chapter, on noise: at initialisation, without any training."""
    from course_lib import experiments

    images = np.random.default_rng(0).normal(size=(32, 32, 32, 3)).astype("float32")
    last, ratio = {}, {}
    for name in ("plain", "he"):
        model = experiments.get(f"squeezenet/{name}").build(seed=0)
        last[name] = signals.forward(model, images, ["fire9_join"])[0].difference
        ratio[name] = np.median(list(signals.gradients(model, images, np.arange(32) % 10).values()))
    assert last["plain"] < 1e-2 * last["he"]
    assert ratio["plain"] < 1e-1 * ratio["he"]


def test_a_watch_sees_the_training_and_changes_nothing_of_it():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(24, 2, 2, 2)).astype("float32"), np.arange(24) % 3

    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = network(
            layers.Conv2D(3, 1, name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(name="relu"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(images, labels, 4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        return model

    watch = signals.Watch(images, ["conv", "relu"], every=3)
    watched, alone = trained(watch), trained()
    for ours, theirs in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert watch.steps == [0, 3, 6, 9, 12]  # six steps an epoch
    assert watch.of("living").shape == (5, 2) and set(watch.of("living")[:, 1]) <= {0, 1, 2, 3}
    (last,) = signals.forward(watched, images, ["relu"])
    assert watch.of("difference")[-1, 1] == pytest.approx(last.difference)


def test_a_channel_lives_that_any_image_lifts_above_zero():
    model = network(layers.ReLU(name="relu"), shape=(1, 2, 3))
    images = -np.ones((4, 1, 2, 3), "float32")
    images[2, 0, 1, 0] = images[3, 0, 0, 2] = 1e-6
    assert signals.forward(model, images, ["relu"])[0].living == 2
