"""Many steps in one compiled call, as on an accelerator: here on JAX's CPU.

One process on JAX (this file, called as a module) goes through all runs; the tests look at what it
leaves behind.
"""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from course_lib import settings
from course_lib.datasets import cifar10
from course_lib.schedules import Steps
from tests.unit import tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("device"),
    pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed"),
]

ROWS, AT_ONCE = 20, 4
# Of 40 images: 6 whole batches in two calls of three and one of 4 images; 4 in a call, without the
# rest.
EXPERIMENTS = {
    "tiny/adam": {"batch": 6, "schedule": Steps(((0, 0.01),))},
    "tiny/early": {"batch": 9, "whole_batches": True, "mean": "pixel", "callbacks": ()},
}
CALLS = {"tiny/adam": 5, "tiny/early": 2}  # then comes Ctrl-C, in epoch 2
# What a machine that only records need not have.
MISSING = ("tensorflow", "torch", "pooch", "anywidget", "ipywidgets", "IPython", "matplotlib")


class Missing:
    """Importing what is missing raises what it would."""

    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"no module {name}", name=name)


def process(folder: Path) -> None:
    """All runs, in a process on JAX, with the data set at hand and much else missing."""
    sys.meta_path.insert(0, Missing())

    from course_lib import datasets, experiments
    from course_lib.backend import keras
    from course_lib.engine import feeding

    class Interrupt(keras.callbacks.Callback):
        def __init__(self, calls):
            super().__init__()
            self.calls = calls

        def on_train_batch_end(self, batch, logs=None):
            self.calls -= 1
            if self.calls == 0:
                raise KeyboardInterrupt

    load = datasets.load
    cifar10.ROWS, feeding.CHUNK = ROWS, AT_ONCE
    # These images are not CIFAR-10's, which is known by its content.
    cifar10.known = lambda train, test, *_: datasets.Dataset(
        "cifar10", cifar10.CLASSES, *train, *test, content="00"
    )
    # Read as CIFAR-10 is, and then what the profile ci asks for.
    drawn = replace(load("cifar10"), name="synthetic")
    tiny.install(pytest.MonkeyPatch(), load=lambda name: drawn)
    for id, changes in EXPERIMENTS.items():
        base = tiny.EXPERIMENTS[id]
        arguments = {**base.arguments, "size": 32}
        experiments._EXPERIMENTS[id] = replace(base, arguments=arguments, epochs=2, **changes)

    def run(id, name, on_device=True, **options):
        return tiny.run(
            id, profile="ci", seed=3, folder=folder / name, on_device=on_device, **options
        )

    for id, calls in CALLS.items():
        run(id, "single", on_device=False)
        model = run(id, "chunks").model
        assert type(model).__name__ == "Scanned", "or nothing is tested here"
        try:
            run(id, "again", callbacks=[Interrupt(calls)])
        except KeyboardInterrupt:
            run(id, "again")
    run("tiny/adam", "precision", precision="mixed_bfloat16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What all runs left, made by one process."""
    folder, data = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data")
    (data / cifar10.FOLDER).mkdir()
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS) % 10
    for name in (*cifar10.TRAIN_BATCHES, cifar10.TEST_BATCH):
        pixels = rng.integers(0, 160, (ROWS, cifar10.PIXELS)) + 9 * labels[:, None]
        content = {b"data": pixels.astype(np.uint8), b"labels": labels.tolist()}
        (data / cifar10.FOLDER / name).write_bytes(pickle.dumps(content, protocol=2))
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.test_on_device", str(folder)],
        cwd=settings.ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "COURSE_DATA_DIR": data},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def record(folder, id, name) -> dict:
    precision = "mixed_bfloat16" if name == "precision" else "float32"
    suffix = "" if precision == "float32" else f"-{precision}"
    return json.loads((folder / name / id / f"ci-seed3{suffix}.json").read_text())


def arrays(folder, id, name) -> dict[str, np.ndarray]:
    """Every variable of a run's end."""
    file = folder / name / id / "ci-seed3" / "checkpoint.npz"
    with np.load(file) as found:
        return {k: found[k] for k in found.files if k != "state"}


@pytest.mark.parametrize("id", EXPERIMENTS)
def test_chunks_of_steps_train_as_single_steps_do(folder, id):
    chunks, single = (record(folder, id, name)["history"] for name in ("chunks", "single"))
    assert chunks.keys() == single.keys() and ("validation_loss" in chunks) == (id == "tiny/early")
    for curve, values in single.items():
        np.testing.assert_allclose(chunks[curve], values, rtol=1e-4, atol=1e-4, err_msg=curve)
    chunks, single = (arrays(folder, id, name) for name in ("chunks", "single"))
    assert chunks.keys() == single.keys() and len(single) > 10
    for name, values in single.items():
        np.testing.assert_allclose(chunks[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
    assert record(folder, id, "single")["history"]["loss"][1] < 4, "it trains, and not to NaN"


@pytest.mark.parametrize("id", EXPERIMENTS)
def test_run_on_the_device_resumes_to_the_same_weights(folder, id):
    again, whole = (record(folder, id, name) for name in ("again", "chunks"))
    assert (again["segments"], whole["segments"]) == ([[1, 1], [2, 2]], [[1, 2]])
    assert again["history"] == whole["history"]
    found, expected = (arrays(folder, id, name) for name in ("again", "chunks"))
    assert [k for k in expected if found[k].tobytes() != expected[k].tobytes()] == []


def test_record_says_that_it_was_made_without_tensorflow(folder):
    plain, mixed = (record(folder, "tiny/adam", name) for name in ("chunks", "precision"))
    assert plain["backend"] == mixed["backend"] == "jax"
    assert "jax" in plain["versions"] and "tensorflow" not in plain["versions"]
    assert (mixed["precision"], plain["precision"]) == ("mixed_bfloat16", "float32")
    assert plain["data"]["content"] == "00", "read as CIFAR-10 is"
    assert plain["history"]["loss"] != mixed["history"]["loss"]


if __name__ == "__main__":
    process(Path(sys.argv[1]))
