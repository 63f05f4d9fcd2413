import math
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib import __main__ as cli
from course_lib import checkpoints, datasets, experiments, records, settings, training
from course_lib.datasets import synthetic
from course_lib.models import squeezenet
from course_lib.schedules import Steps
from course_lib.settings import CourseError

# TensorFlow 2.20 and Keras 3.15 under NumPy 2, inside `fit`: nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ID = "squeezenet/bn"
# Three steps an epoch, the last of two images; three epochs; and a net that compiles quickly.
TINY = {"images": 130, "test_images": 20, "epochs": 3}
FIRES = ((16, 64), (16, 64))


@pytest.fixture(scope="module")
def drawn():
    return synthetic.load(images=200, test_images=50)


def make_tiny(patch, drawn):
    patch.setitem(settings.PROFILES, "ci", replace(settings.PROFILES["ci"], **TINY))
    patch.setattr(datasets, "load", lambda name: drawn)
    patch.setattr(squeezenet, "FIRES", FIRES)


@pytest.fixture
def tiny(monkeypatch, drawn, folders):
    """Profile ci on 130 drawn images and a net of two fires; the folder of local runs."""
    make_tiny(monkeypatch, drawn)
    return settings.runs_dir()


def test_network_is_compiled_with_the_optimizer_of_the_protocol():
    model = training.compiled(experiments.get(ID))
    config = model.optimizer.get_config()
    assert (type(model.optimizer).__name__, config["nesterov"]) == ("SGD", True)
    assert config["momentum"] == pytest.approx(0.9)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    assert model.loss == "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def uninterrupted(drawn, tmp_path_factory):
    """A whole run of three epochs, its folder and its checkpoint."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        make_tiny(patch, drawn)
        run = training.run(ID, profile="ci", seed=3, folder=folder)
    return SimpleNamespace(run=run, folder=folder, arrays=arrays(folder))


def arrays(folder) -> dict[str, np.ndarray]:
    """Every variable in the newest checkpoint of that run."""
    with np.load(folder / ID / "ci-seed3" / checkpoints.NEWEST) as file:
        return {name: file[name] for name in file.files if name != "state"}


def assert_as_uninterrupted(uninterrupted, folder, segments):
    found, expected = arrays(folder), uninterrupted.arrays
    assert found.keys() == expected.keys()
    different = [k for k in expected if found[k].tobytes() != expected[k].tobytes()]
    assert different == [], "bitwise the same weights, momentum and statistics"
    record = records.read(records.path(ID, "ci", 3, folder))
    assert record["history"] == uninterrupted.run.history
    assert record["segments"] == segments
    assert len(record["seconds_per_epoch"]) == TINY["epochs"]
    return record


def resume(monkeypatch, capsys, *words):
    monkeypatch.setattr(
        sys, "argv", ["course_lib", "run", ID, "--profile", "ci", "--seeds", "3", *words]
    )
    assert cli.main() == 0
    return capsys.readouterr().out


# The same command in a process of its own; in its second epoch it meets its end.
DOOMED = """
import os, signal, sys
from dataclasses import replace
from course_lib import __main__, datasets, settings, training
from course_lib.datasets import synthetic
from course_lib.models import squeezenet
drawn = synthetic.load(images=200, test_images=50)
datasets.load = lambda name: drawn
settings.PROFILES["ci"] = replace(settings.PROFILES["ci"], **{tiny})
squeezenet.FIRES = {fires}

class Progress(training.Progress):
    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)

syncs = []
def fsync(file):
    syncs.append(file)
    if len(syncs) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

if "{when}" == "in mid-epoch":
    training.Progress = Progress
else:
    os.fsync = fsync
sys.argv = ["course_lib", "run", "{id}", "--profile", "ci", "--seeds", "3"]
__main__.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in mid-epoch", "while a checkpoint is written"])
def test_run_killed_with_kill_9_resumes_to_the_same_weights(
    uninterrupted, tiny, monkeypatch, capsys, when
):
    doomed = DOOMED.format(tiny=TINY, fires=FIRES, id=ID, when=when)
    done = subprocess.run(
        [sys.executable, "-c", doomed], cwd=settings.ROOT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not records.path(ID, "ci", 3, tiny).exists()
    assert (tiny / ID / "ci-seed3" / checkpoints.NEWEST).exists()
    out = resume(monkeypatch, capsys)
    assert str(records.path(ID, "ci", 3, tiny)) in out
    assert_as_uninterrupted(uninterrupted, tiny, segments=[[1, 1], [2, 3]])


@pytest.mark.slow
def test_minutes_stop_in_time_with_a_checkpoint_and_say_how_to_go_on(
    uninterrupted, tiny, monkeypatch, capsys
):
    seconds = iter(range(10_000))
    with monkeypatch.context() as patch:
        # A clock that ticks whenever it is looked at: five ticks an epoch. At 8 it is too late
        # for a second one, long before the limit.
        patch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
        out = resume(patch, capsys, "--minutes", str(10 / 60))
    again = f"python -m course_lib run {ID} --profile ci --seeds 3 --minutes"
    assert "1 not finished" in out and again in out
    assert not records.path(ID, "ci", 3, tiny).exists()
    assert (tiny / ID / "ci-seed3" / checkpoints.NEWEST).exists()
    resume(monkeypatch, capsys)
    assert_as_uninterrupted(uninterrupted, tiny, segments=[[1, 1], [2, 3]])


@pytest.mark.slow
def test_time_that_is_up_in_mid_epoch_keeps_the_last_whole_epoch(
    uninterrupted, tiny, monkeypatch, capsys
):
    now = [0.0]

    class Slower(training.Progress):
        def on_train_batch_end(self, batch, logs=None):
            now[0] += 1 + 100 * (self.epoch == 1)  # the second epoch is much slower

    with monkeypatch.context() as patch:
        patch.setattr(training, "Progress", Slower)
        patch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
        out = resume(patch, capsys, "--minutes", "1")
    assert "1 not finished" in out
    resume(monkeypatch, capsys)
    assert_as_uninterrupted(uninterrupted, tiny, segments=[[1, 1], [2, 3]])


@pytest.mark.slow
def test_record_of_a_run_says_what_it_was_and_what_it_saw(uninterrupted, tiny, drawn):
    run = uninterrupted.run
    record = records.read(records.path(ID, "ci", 3, uninterrupted.folder))
    assert run.finished and record == run.record
    subset = drawn.subset(TINY["images"], TINY["test_images"])
    assert record["data"] == {
        "name": "synthetic",
        "fingerprint": subset.fingerprint(),
        "images": 130,
        "test_images": 20,
    }
    assert record["history"]["learning_rate"] == pytest.approx([0.01] * 3)
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", record["commit"])
    assert datetime.fromisoformat(record["finished"]).utcoffset() == timedelta(0)
    assert {"python", "keras", "numpy", record["backend"]} <= set(record["versions"])
    assert record["hardware"]["cores"] >= 1 and record["segments"] == [[1, 3]]
    # The figure in the record against the network itself.
    e = run.experiment
    x = (subset.x_test - np.array(e.mean)) / np.array(e.deviation)
    answers = np.asarray(run.model(x.astype("float32"), training=False)).argmax(1)
    accuracy = (answers == subset.y_test).mean()
    assert record["final"]["test_accuracy"] == pytest.approx(accuracy)
    assert run.accuracy == pytest.approx(100 * accuracy)


@pytest.mark.slow
def test_finished_run_is_not_trained_again_and_writes_its_record_anew(
    uninterrupted, tiny, monkeypatch, tmp_path
):
    file = records.path(ID, "ci", 3, uninterrupted.folder)
    before = file.read_text()
    file.unlink()  # killed after the last checkpoint, before the record
    monkeypatch.setattr(training, "_fit", lambda *a: pytest.fail("trained again"))
    training.run(ID, profile="ci", seed=3, folder=uninterrupted.folder)
    again = records.read(file)
    file.write_text(before)
    assert again["history"] == uninterrupted.run.history


@pytest.mark.slow
def test_loss_that_is_no_number_stops_the_run_without_a_record(tiny, monkeypatch, capsys):
    explodes = replace(experiments.get(ID), schedule=Steps(((0, 0.01), (1, 1e30))))
    monkeypatch.setitem(experiments._EXPERIMENTS, ID, explodes)
    monkeypatch.setattr(sys, "argv", f"course_lib run {ID} --profile ci --seeds 3".split())
    assert cli.main() == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "course_lib: the loss is no longer a finite number in epoch 2"
    assert not records.path(ID, "ci", 3, tiny).exists()
    assert all(np.isfinite(a).all() for a in arrays(tiny).values()), "epoch 1 is kept"


@pytest.mark.slow
def test_live_run_with_a_block_of_ones_own_leaves_no_trace(folders, drawn):
    from course_lib.backend import layers

    def mine(x, squeeze, expand, *, conv, name):
        return layers.MaxPooling2D(1, name=f"{name}_mine")(x)

    budget = {"images": 70, "test_images": 20, "epochs": 1}
    run = training.run(ID, seed=0, data=drawn, block=mine, **budget)
    assert run.finished and run.record is None and run.experiment.id == ID
    assert run.model.get_layer("fire2_mine") and len(run.data.x_train) == 70
    assert {len(curve) for curve in run.history.values()} == {1}
    assert set(run.history) == set(records.CURVES)
    assert all(map(math.isfinite, (run.accuracy, *run.history["loss"])))
    assert [f for f in folders.rglob("*") if f.is_file()] == []


@pytest.mark.parametrize("change", [{"epochs": 1}, {"images": 100}, {"block": None}, {"l2": 0.1}])
def test_run_with_changes_of_its_own_cannot_be_recorded(folders, change):
    with pytest.raises(CourseError, match="cannot be recorded"):
        training.run(ID, profile="quick", folder=folders, **change)


def test_seed_that_the_generators_do_not_take_is_one_clear_error(folders, drawn):
    for seed in (-1, 2**32):
        with pytest.raises(CourseError, match="seed"):
            training.run(ID, seed=seed, data=drawn, images=10, test_images=10, epochs=1)
