"""Every network on the backend that KERAS_BACKEND names: build, train a step, save, load.

`make test` runs this on TensorFlow, `make test-backends` on JAX and PyTorch as well.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from course_lib import datasets, settings
from course_lib.backend import keras
from course_lib.datasets import synthetic
from course_lib.engine import checkpoints
from course_lib.models import squeezenet
from tests.unit import tiny
from tests.unit.test_models import IMAGES, SMALL

pytestmark = [
    pytest.mark.slow,
    # TensorFlow and Keras under NumPy 2, inside `fit`: nothing of ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Every builder, and every kind of layer or join that a variant brings in.
NETWORKS = SMALL | {
    "complex-bypass": partial(SMALL["squeezenet"], bypass="complex", conv10=False, share=0.75),
    "relu-bn, elu": partial(SMALL["minigooglenet"], order="relu-bn", activation="elu"),
    "plain": partial(SMALL["resnet-v1"], residual=False),
}


def answers(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def step_and_store(model, folder):
    """Train one step, then store the network in both ways and read it back."""
    kernels = {w.name: w.kernel for w in model.layers if hasattr(w, "kernel")}
    before = {k: np.array(keras.ops.convert_to_numpy(w)) for k, w in kernels.items()}
    assert np.isfinite(model.train_on_batch(IMAGES, np.arange(8))[0])
    still = [k for k, w in kernels.items() if (keras.ops.convert_to_numpy(w) == before[k]).all()]
    assert still == [], "not trained"
    expected = answers(model, IMAGES)
    assert expected.shape == (8, 10) and np.allclose(expected.sum(1), 1, atol=1e-5)

    file = folder / "network.keras"
    model.save(file)
    restored = keras.saving.load_model(file, safe_mode=True)
    assert np.allclose(answers(restored, IMAGES), expected, atol=1e-5)

    weights = checkpoints.save_weights(model, folder / "network.safetensors")
    fresh = keras.models.clone_model(model)
    assert not np.allclose(answers(fresh, IMAGES), expected, atol=1e-5)
    checkpoints.load_weights(fresh, weights)
    assert np.allclose(answers(fresh, IMAGES), expected, atol=2e-2), "float16 is that coarse"


@pytest.mark.parametrize("name", NETWORKS)
def test_network_trains_a_step_and_is_stored_and_restored(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = NETWORKS[name](input_shape=(32, 32, 3))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    step_and_store(model, tmp_path)


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
