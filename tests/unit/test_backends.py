"""Every network on the backend that KERAS_BACKEND names: build, train a step, save, load.

`make test` runs this on TensorFlow, `make test-backends` on JAX and PyTorch as well.
"""

from dataclasses import replace

import numpy as np
import pytest

from course_lib import datasets, experiments, settings
from course_lib.backend import keras
from course_lib.datasets import synthetic
from course_lib.engine import checkpoints, training
from course_lib.models import squeezenet
from tests.unit import tiny

pytestmark = [
    pytest.mark.slow,
    # TensorFlow and Keras under NumPy 2, inside `fit`: nothing of ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# One experiment for every builder and every kind of layer or join that a variant brings in.
IDS = [
    "squeezenet/plain",
    "squeezenet/no-conv10",
    "squeezenet/complex-bypass",
    "squeezenet/share-75",
    "resnet-v1/20",
    "resnet-v1/narrow-plain-20",
    "resnet-v2/20",
    "densenet/growth-32",
    "minigooglenet/lr-1e-2",
    "minigooglenet/relu-bn",
    "minigooglenet/elu",
    "deepergooglenet/shallow-sgd",
    "deepergooglenet/deep-adam",
]


def answers(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def step_and_store(model, folder):
    """Train one step, then store the network in both ways and read it back."""
    size, classes = model.input_shape[1:], model.output_shape[-1]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, *size)).astype("float32")
    labels = np.array([0, classes - 1])
    before = [np.array(keras.ops.convert_to_numpy(w)) for w in model.trainable_weights]
    loss = model.train_on_batch(images, labels)[0]
    assert np.isfinite(loss)
    after = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    assert any((a != b).any() for a, b in zip(after, before, strict=True)), "nothing was trained"
    expected = answers(model, images)
    assert expected.shape == (2, classes) and np.allclose(expected.sum(1), 1, atol=1e-5)

    file = folder / "network.keras"
    model.save(file)
    restored = keras.saving.load_model(file, safe_mode=True)
    assert np.allclose(answers(restored, images), expected, atol=1e-5)

    weights = checkpoints.save_weights(model, folder / "network.safetensors")
    fresh = keras.models.clone_model(model)
    assert not np.allclose(answers(fresh, images), expected, atol=1e-5)
    checkpoints.load_weights(fresh, weights)
    assert np.allclose(answers(fresh, images), expected, atol=2e-2), "float16 is that coarse"


@pytest.mark.parametrize("id", IDS)
def test_network_trains_a_step_and_is_stored_and_restored(id, tmp_path):
    keras.utils.set_random_seed(0)
    step_and_store(training.compiled(experiments.get(id)), tmp_path)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_network_for_imagenet_trains_a_step_and_is_stored_and_restored(version, tmp_path):
    keras.utils.set_random_seed(0)
    model = squeezenet.squeezenet_imagenet(version=version, classes=20, input_shape=(97, 97, 3))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    step_and_store(model, tmp_path)


def test_every_builder_is_tried():
    assert {experiments.get(id).builder for id in experiments.ids()} == {
        experiments.get(id).builder for id in IDS
    }


def test_run_stopped_after_an_epoch_ends_like_one_that_was_not(tmp_path, monkeypatch):
    drawn = synthetic.load(images=60, test_images=20)
    drawn = replace(drawn, content=drawn.fingerprint())
    monkeypatch.setattr(datasets, "load", lambda name: drawn)
    monkeypatch.setattr(squeezenet, "FIRES", squeezenet.FIRES[:1])
    ci = replace(settings.PROFILES["ci"], images=60, test_images=20, epochs=2)
    monkeypatch.setitem(settings.PROFILES, "ci", ci)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    id = "squeezenet/dropout"
    whole = tiny.run(id, profile="ci", seed=1, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tiny.run(id, profile="ci", seed=1, folder=tmp_path / "cut", callbacks=[Stop()])
    resumed = tiny.run(id, profile="ci", seed=1, folder=tmp_path / "cut")
    assert resumed.record["segments"] == [[1, 1], [2, 2]]
    assert resumed.record["backend"] == keras.backend.backend()
    assert np.allclose(resumed.history["loss"], whole.history["loss"], rtol=1e-5)
    for one, other in zip(resumed.model.weights, whole.model.weights, strict=True):
        one, other = map(keras.ops.convert_to_numpy, (one, other))
        assert np.allclose(one, other, atol=1e-5), "also the state of dropout was restored"
