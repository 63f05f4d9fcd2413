"""The engine on networks of a second: what a run records, and that nothing interrupts it for good.

"The same" is bitwise: every variable of network and optimizer, every number of the record.
"""

import contextlib
import csv
import math
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib import __main__ as cli
from course_lib import backend, experiments, processor, records, settings
from course_lib.backend import keras
from course_lib.engine import callbacks as own
from course_lib.engine import checkpoints, feeding, recording, training
from course_lib.models import graph
from course_lib.schedules import Steps
from course_lib.settings import CourseError
from tests.unit import tiny
from tests.unit.tiny import EPOCHS, EXPERIMENTS, STEPS

pytestmark = [
    pytest.mark.xdist_group("training"),  # many tests look at one run
    # TensorFlow 2.20 and Keras 3.15 under NumPy 2, inside `fit`: nothing of ours.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
ID, SEED = "tiny/momentum", 3


@pytest.fixture(autouse=True)
def course(monkeypatch, folders):
    """The tiny experiments; published records below a folder of the test's own."""
    tiny.install(monkeypatch)


def train(folder, id=ID, **options):
    return tiny.run(id, profile="ci", seed=SEED, folder=folder, **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """(id, restarts) -> the folder of a whole run, and the Run; made once."""

    @cache
    def made(id, restarts):
        folder = tmp_path_factory.mktemp("uninterrupted")
        if restarts:
            shutil.copytree(made(id, restarts[:-1]).folder, folder, dirs_exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            tiny.install(patch)
            return SimpleNamespace(folder=folder, run=train(folder, id, restarts=restarts))

    return lambda id=ID, restarts=(): made(id, restarts)


def checkpoint(folder, id=ID, restarts=()):
    return tiny.file(id, "ci", SEED, folder, restarts).with_suffix("") / checkpoints.NEWEST


def arrays(file) -> dict[str, bytes]:
    """Every variable in a checkpoint."""
    with np.load(file) as found:
        return {k: found[k].tobytes() for k in found.files if k != "state"}


# What two runs of the same experiment may differ in.
OF_THE_HOUR = ("finished", "seconds_per_epoch", "segments", "commit")


def of_all_hours(record: dict) -> dict:
    return {k: v for k, v in record.items() if k not in OF_THE_HOUR}


def assert_same(whole, folder, segments, id=ID, restarts=()):
    """The run below `folder` ended as `whole` did, in these segments."""
    expected, found = (arrays(checkpoint(f, id, restarts)) for f in (whole.folder, folder))
    assert found.keys() == expected.keys() and len(found) > 10
    assert [k for k in expected if found[k] != expected[k]] == [], "bitwise the same variables"
    record = records.read(tiny.file(id, "ci", SEED, folder, restarts))
    assert of_all_hours(record) == of_all_hours(whole.run.record)
    assert record["segments"] == segments
    assert len(record["seconds_per_epoch"]) == len(record["history"]["loss"])


def files_below(folder) -> dict[str, bytes]:
    found = [f for f in folder.rglob("*") if f.is_file() and f.name != ".lock"]
    return {str(f.relative_to(folder)): f.read_bytes() for f in found}


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C after so many steps, or after so many whole epochs."""

    def __init__(self, steps=math.inf, epochs=math.inf):
        super().__init__()
        self.steps, self.epochs = steps, epochs

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise KeyboardInterrupt


def interrupted(folder, id=ID, restarts=(), **at):
    with pytest.raises(KeyboardInterrupt):
        train(folder, id, restarts=restarts, callbacks=[Interrupt(**at)])
    assert not tiny.file(id, "ci", SEED, folder, restarts).exists()


def command(monkeypatch, capsys, *words, status=0):
    words = ["run", ID, "--profile", "ci", "--seeds", str(SEED), *words]
    monkeypatch.setattr(sys, "argv", ["course_lib", *words])
    assert cli.main() == status
    return capsys.readouterr()


# --- interrupted = uninterrupted ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("id", ["tiny/adam", "tiny/early", "tiny/plateau"])
def test_run_that_is_interrupted_twice_ends_as_one_that_is_not(uninterrupted, tmp_path, id):
    """Ctrl-C at a drawn step of the second epoch, then at one of the fifth: by then what early
    stopping and the plateau will do hangs on epochs before each of the cuts."""
    steps = feeding.steps_per_epoch(tiny.IMAGES, EXPERIMENTS[id])
    draw = np.random.default_rng(list(id.encode()))
    interrupted(tmp_path, id, steps=steps + draw.integers(1, steps + 1))
    interrupted(tmp_path, id, steps=3 * steps + draw.integers(1, steps + 1))
    train(tmp_path, id)
    whole = uninterrupted(id)
    epochs = len(whole.run.history["loss"])
    assert_same(whole, tmp_path, [[1, 1], [2, 4], [5, epochs]], id)


# When in a run of six epochs of three steps it is killed, and which epochs are then done.
KILLS = {
    "in mid-epoch": ("step", int(np.random.default_rng(7).integers(4, 18)), None),
    "while a checkpoint is written": ("fsync", 3, 2),
    # The first checkpoint is renamed once, each further one after that before it.
    "between the two renames": ("replace", 5, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("when", KILLS)
def test_run_killed_with_kill_9_ends_as_one_that_is_not(
    uninterrupted, tmp_path, monkeypatch, capsys, when
):
    event, times, done = KILLS[when]
    words = ["run", ID, "--profile", "ci", "--seeds", str(SEED)]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.unit.tiny", event, str(times), *words],
        cwd=settings.ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = settings.runs_dir()
    left = {f.name for f in checkpoint(folder).parent.iterdir()}
    assert any(name.endswith(".part") for name in left) == (event != "step")
    assert (checkpoints.NEWEST in left) == (event != "replace") and checkpoints.BEFORE in left
    out = command(monkeypatch, capsys).out
    assert str(tiny.file(ID, "ci", SEED, folder)) in out
    done = done if done else (times - 1) // STEPS
    assert_same(uninterrupted(), folder, segments=[[1, done], [done + 1, EPOCHS]])


def clock(patch, monotonic):
    for module in (training, own):
        patch.setattr(module, "time", SimpleNamespace(monotonic=monotonic))


@pytest.mark.slow
def test_minutes_stop_in_time_with_a_checkpoint_and_say_how_to_go_on(
    uninterrupted, monkeypatch, capsys
):
    seconds = iter(range(10_000))
    with monkeypatch.context() as patch:
        # A clock that ticks whenever it is looked at: six ticks an epoch. After the second there
        # is no time for a third, long before the limit.
        clock(patch, lambda: next(seconds))
        out = command(patch, capsys, "--minutes", str(16 / 60), status=3).out
    again = f"python -m course_lib run {ID} --profile ci --seeds {SEED} --minutes"
    folder = settings.runs_dir()
    assert "1 not finished" in out and again in out
    assert not tiny.file(ID, "ci", SEED, folder).exists()
    command(monkeypatch, capsys)
    assert_same(uninterrupted(), folder, segments=[[1, 2], [3, EPOCHS]])


@pytest.mark.slow
def test_time_that_is_up_in_mid_epoch_keeps_the_last_whole_epoch(
    uninterrupted, monkeypatch, capsys
):
    now = [0.0]

    class Slower(training.Progress):
        def on_train_batch_end(self, batch, logs=None):
            now[0] += 1 + 100 * (self.epoch == 1)  # the second epoch is much slower

    with monkeypatch.context() as patch:
        patch.setattr(training, "Progress", Slower)
        clock(patch, lambda: now[0])
        assert "1 not finished" in command(patch, capsys, "--minutes", "1", status=3).out
    command(monkeypatch, capsys)
    assert_same(uninterrupted(), settings.runs_dir(), segments=[[1, 1], [2, EPOCHS]])


@pytest.fixture(scope="module")
def stopped_after_three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch)
        interrupted(folder, epochs=3)
    return folder


def damage(file):
    """Wherever the middle is: a single byte may be a date that nobody reads."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damaged, segments",
    [
        ([checkpoints.NEWEST], [[1, 2], [3, EPOCHS]]),
        ([checkpoints.NEWEST, checkpoints.BEFORE], [[1, EPOCHS]]),
    ],
    ids=["newest", "both"],
)
def test_damaged_checkpoint_costs_epochs_and_nothing_else(
    uninterrupted, stopped_after_three, tmp_path, capsys, damaged, segments
):
    shutil.copytree(stopped_after_three, tmp_path / "runs")
    for name in damaged:
        damage(checkpoint(tmp_path / "runs").with_name(name))
    train(tmp_path / "runs")
    said = re.findall(r"(\S+) is damaged", capsys.readouterr().out)
    assert said == [str(checkpoint(tmp_path / "runs").with_name(name)) for name in damaged]
    assert_same(uninterrupted(), tmp_path / "runs", segments)


@pytest.mark.slow
def test_finished_run_is_not_trained_again_and_writes_its_record_anew(
    uninterrupted, monkeypatch, tmp_path
):
    finished = {id: uninterrupted(id) for id in (ID, "tiny/early")}
    monkeypatch.setattr(training, "fit", lambda *a: pytest.fail("trained again"))
    for id, whole in finished.items():
        shutil.copytree(whole.folder, tmp_path / id)
        tiny.file(id, "ci", SEED, tmp_path / id).unlink()  # killed after the last checkpoint
        train(tmp_path / id, id)
        assert_same(whole, tmp_path / id, whole.run.record["segments"], id)


@pytest.mark.slow
def test_a_callback_of_the_reader_that_stops_leaves_a_run_to_go_on_with(uninterrupted, tmp_path):
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    run = train(tmp_path, callbacks=[Enough()])
    assert not run.finished and run.record is None and len(run.history["loss"]) == 2
    train(tmp_path)
    assert_same(uninterrupted(), tmp_path, [[1, 2], [3, EPOCHS]])


@pytest.mark.slow
def test_checkpoints_and_record_are_written_while_no_other_process_may(tmp_path, monkeypatch):
    held, alone = [], training.files.alone

    @contextlib.contextmanager
    def watched(folder):
        with alone(folder) as locked:
            held.append(folder)
            yield locked
            assert tiny.file(ID, "ci", SEED, tmp_path).exists(), "not before the record"

    monkeypatch.setattr(training.files, "alone", watched)
    train(tmp_path)
    assert held == [checkpoint(tmp_path).parent]


# --- protocols ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_early_stopping_ends_the_run_and_the_record_says_so(uninterrupted):
    run = uninterrupted("tiny/early").run
    loss = run.history["loss"]
    best = loss.index(min(loss))
    assert len(loss) == best + 1 + 3 < run.experiment.epochs, "patience 3"
    assert run.finished and run.record["stopped_early"] is True
    assert run.record["segments"] == [[1, len(loss)]]
    assert "stopped_early" not in uninterrupted().run.record


@pytest.mark.slow
def test_validation_and_test_set_are_two_curves_of_their_own(uninterrupted):
    run = uninterrupted("tiny/early").run
    history, data = run.history, run.data
    assert set(history) == {*records.CURVES, *records.VALIDATION}
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (40, 10, 20)
    for curve, x, y in (
        ("test", data.x_test, data.y_test),
        ("validation", data.x_val, data.y_val),
    ):
        x = (x - np.float32(128)) / np.float32(64)
        answers = run.model.evaluate(x, y, verbose=0, return_dict=True)
        for name in ("loss", "accuracy"):
            assert history[f"{curve}_{name}"][-1] == pytest.approx(answers[name], rel=1e-4)
    chosen = run.record["chosen"]
    k = min(range(len(history["loss"])), key=history["validation_loss"].__getitem__)
    assert chosen["epoch"] == k + 1 and chosen["test_loss"] == history["test_loss"][k]


@pytest.mark.slow
def test_plateau_beside_a_schedule_has_no_effect(uninterrupted):
    run = uninterrupted("tiny/plateau").run
    rates = run.history["learning_rate"]
    assert rates == pytest.approx([0.05] * 4 + [0.01] * 2), "the drop at 3 comes an epoch late"
    # It did act: after the last epoch no schedule sets its rate aside.
    assert float(run.model.optimizer.learning_rate) == pytest.approx(0.5 * rates[-1])


@pytest.mark.slow
def test_network_is_compiled_with_the_optimizer_of_the_protocol(uninterrupted):
    model = uninterrupted().run.model
    config = model.optimizer.get_config()
    assert (type(model.optimizer).__name__, config["nesterov"]) == ("SGD", True)
    assert config["momentum"] == pytest.approx(0.9)
    assert model.loss == "sparse_categorical_crossentropy"
    assert uninterrupted().run.history["learning_rate"] == pytest.approx([0.05] * 4 + [0.01] * 2)
    assert type(uninterrupted("tiny/adam").run.model.optimizer).__name__ == "Adam"


@pytest.mark.slow
def test_record_of_a_run_says_what_it_was_and_what_it_saw(uninterrupted):
    whole = uninterrupted("tiny/adam")
    run, record = whole.run, records.read(tiny.file("tiny/adam", "ci", SEED, whole.folder))
    assert run.finished and record == run.record
    subset = tiny.data().subset(tiny.IMAGES, tiny.TEST_IMAGES)
    assert record["data"] == {
        "name": "synthetic",
        "content": tiny.data().fingerprint(),
        "fingerprint": subset.fingerprint(),
        "order": subset.order(),
        "images": tiny.IMAGES,
        "test_images": tiny.TEST_IMAGES,
    }
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", record["commit"])
    assert datetime.fromisoformat(record["finished"]).utcoffset() == timedelta(0)
    assert {"python", "keras", "numpy", record["backend"]} <= set(record["versions"])
    assert record["hardware"] == backend.hardware() and record["segments"] == [[1, EPOCHS]]
    assert (record["precision"], record["threads"]) == ("float32", 1)
    assert record["network"] == graph.of(EXPERIMENTS["tiny/adam"])
    assert records.UNKNOWN not in str(record), "what is known today is said"
    assert not {"restarts", "stopped_early", "migrated"} & set(record)
    # The figure in the record against the network itself, with the mean of the training images.
    x = (subset.x_test - subset.x_train.mean(axis=0)) / 64
    answers = np.asarray(run.model(x.astype("float32"), training=False)).argmax(1)
    accuracy = (answers == subset.y_test).mean()
    assert record["final"]["test_accuracy"] == pytest.approx(accuracy)
    assert run.accuracy == pytest.approx(100 * accuracy)
    # Standardised as the run did, whichever mean, and only what is as the data set has it.
    expected = run.model(x.astype("float32"), training=False)
    np.testing.assert_allclose(run.predict(subset.x_test), expected, atol=1e-5)
    for wrong in (x, subset.x_test[0]):
        with pytest.raises(CourseError, match=r"uint8 \(count, 8, 8, 3\)"):
            run.predict(wrong)


@pytest.mark.slow
def test_loss_that_is_no_number_stops_the_run_without_a_record(monkeypatch, capsys):
    explodes = replace(EXPERIMENTS[ID], schedule=Steps(((0, 0.01), (1, 1e30))))
    monkeypatch.setitem(experiments._EXPERIMENTS, ID, explodes)
    last = command(monkeypatch, capsys, status=2).err.splitlines()[-1]
    assert last == "course_lib: the loss is no longer a finite number in epoch 2"
    folder = settings.runs_dir()
    assert not tiny.file(ID, "ci", SEED, folder).exists()
    with np.load(checkpoint(folder)) as found:
        kept = [found[k] for k in found.files if k != "state"]
    assert all(np.isfinite(a).all() for a in kept), "epoch 1 is kept"


@pytest.mark.slow
def test_the_loss_is_the_cross_entropy_and_the_penalty_of_weight_decay(uninterrupted):
    run = uninterrupted("tiny/decay").run
    history, penalty = run.history, float(sum(run.model.losses))
    assert penalty > 0.01
    for name in ("test", "validation"):  # with the weights of the end of the epoch
        gap = history[f"{name}_loss"][-1] - history[f"{name}_cross_entropy"][-1]
        assert gap == pytest.approx(penalty, rel=1e-4)
    assert all(a > b for a, b in zip(history["loss"], history["cross_entropy"], strict=True))
    plain = uninterrupted().run.history
    for curve in ("loss", "test_loss"):
        found = plain[curve.replace("loss", "cross_entropy")]
        assert found == pytest.approx(plain[curve], rel=1e-5), "without decay they are one"


# --- a run ends as it began -----------------------------------------------------------------------


@pytest.fixture
def elsewhere(monkeypatch):
    """elsewhere(threads=2): from then on the circumstances are others."""
    here = backend.circumstances()
    return lambda **now: monkeypatch.setattr(backend, "circumstances", lambda: {**here, **now})


OTHERWISE = {
    "threads": ({"threads": 2}, "1 threads"),
    "code": ({"code": "0" * 64}, "the code of commit "),
    "two": ({"threads": 2, "code": "0" * 64}, " and 1 threads"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", OTHERWISE)
def test_run_is_not_continued_under_other_circumstances(
    stopped_after_three, tmp_path, elsewhere, what
):
    now, says = OTHERWISE[what]
    shutil.copytree(stopped_after_three, tmp_path / "runs")
    before = files_below(tmp_path / "runs")
    elsewhere(**now)
    with pytest.raises(CourseError, match="a run ends as it began") as error:
        train(tmp_path / "runs")
    assert says in str(error.value) and "\n" not in str(error.value)
    assert files_below(tmp_path / "runs") == before


@pytest.mark.slow
def test_run_goes_on_at_a_later_commit_of_the_same_code(
    uninterrupted, stopped_after_three, tmp_path, elsewhere
):
    shutil.copytree(stopped_after_three, tmp_path / "runs")
    elsewhere(commit="0123456789ab")
    train(tmp_path / "runs")
    assert_same(uninterrupted(), tmp_path / "runs", [[1, 3], [4, EPOCHS]])
    record = records.read(tiny.file(ID, "ci", SEED, tmp_path / "runs"))
    assert record["commit"] == settings.commit(), "that of the code with which it began"


@pytest.mark.slow
def test_finished_run_is_restored_under_any_circumstances(uninterrupted, tmp_path, elsewhere):
    whole = uninterrupted()
    shutil.copytree(whole.folder, tmp_path / "runs")
    elsewhere(threads=2, code="0" * 64)
    assert train(tmp_path / "runs").record == whole.run.record
    tiny.file(ID, "ci", SEED, tmp_path / "runs").unlink()
    record = train(tmp_path / "runs").record
    assert of_all_hours(record) == of_all_hours(whole.run.record), "on one thread, as it was made"


@pytest.mark.slow
def test_jobs_on_one_thread_are_the_run_on_one_thread(uninterrupted, tmp_path, monkeypatch, capsys):
    """The number of threads is in the record, and a run beside others ends bit for bit as alone."""

    def start(*words, **options):
        program = [sys.executable, "-m", "tests.unit.tiny", "never", "0", *words]
        return subprocess.Popen(program, cwd=settings.ROOT, **options)

    monkeypatch.setattr(recording.children, "start", start)
    out = command(monkeypatch, capsys, "--jobs", "2").out
    assert str(tiny.file(ID, "ci", SEED, settings.runs_dir())) in out
    assert_same(uninterrupted(), settings.runs_dir(), [[1, EPOCHS]])
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "two"))
    command(monkeypatch, capsys, "--jobs", "2", "--threads", "2")
    assert records.read(tiny.file(ID, "ci", SEED, tmp_path / "two"))["threads"] == 2


# --- precision of a profile -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "units, accelerators, expected",
    [
        (["avx2", "avx512_bf16"], [], "mixed_bfloat16"),
        (["amx_bf16"], [], "mixed_bfloat16"),
        (["avx2", "avx512f", "avx512_vnni"], [], "float32"),
        ([], ["gpu:0"], "mixed_bfloat16"),
        ([], [], "float32"),
    ],
)
def test_bfloat16_is_taken_where_there_is_a_unit_for_it(monkeypatch, units, accelerators, expected):
    monkeypatch.setattr(processor, "instructions", lambda: units)
    monkeypatch.setattr(backend, "hardware", lambda: {"accelerators": accelerators})
    assert backend.precision(settings.PROFILES["tenth"].precisions) == expected
    for profile in ("quick", "ci", "full"):
        assert backend.precision(settings.PROFILES[profile].precisions) == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("units, expected", [(["amx_bf16"], "mixed_bfloat16"), ([], "float32")])
def test_tenth_is_a_tenth_of_the_epochs_in_what_the_processor_computes_in(
    folders, monkeypatch, units, expected
):
    monkeypatch.setattr(processor, "instructions", lambda: units)
    monkeypatch.setattr(backend, "hardware", lambda: {"accelerators": []} | HARDWARE)
    long = replace(EXPERIMENTS[ID], epochs=20, schedule=Steps(((0, 0.05), (10, 0.01))))
    monkeypatch.setitem(experiments._EXPERIMENTS, ID, long)
    run = tiny.run(ID, profile="tenth", seed=SEED, folder=folders / "runs")
    file = folders / "runs" / ID / "tenth-seed3.json"
    assert run.record == records.read(file) and run.record["precision"] == expected
    assert run.history["learning_rate"] == pytest.approx([0.05, 0.01])
    assert (run.record["config"]["epochs"], run.record["config"]["protocol_epochs"]) == (2, 20)
    assert run.model.get_layer("conv").compute_dtype == expected.removeprefix("mixed_")


HARDWARE = {"processor": "any", "instructions": [], "cores": 1}


# --- restarted by hand ----------------------------------------------------------------------------

KEPT, ONCE, TWICE = "tiny/kept", ((2, 1e-4),), ((2, 1e-4), (4, 1e-5))
RATES = {ONCE: [0.05] * 2 + [1e-4] * 4, TWICE: [0.05] * 2 + [1e-4] * 2 + [1e-5] * 2}


@pytest.mark.slow
def test_checkpoints_stay_as_often_as_the_protocol_says(uninterrupted):
    names = {f.name for f in checkpoint(uninterrupted(KEPT).folder, KEPT).parent.glob("*.npz")}
    epochs = {f"epoch-00{k}.npz" for k in (2, 4, 6)}
    assert names == {checkpoints.NEWEST, checkpoints.BEFORE, *epochs}
    names = {f.name for f in checkpoint(uninterrupted().folder).parent.glob("*.npz")}
    assert names == {checkpoints.NEWEST, checkpoints.BEFORE}, "none, where it says nothing"


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [ONCE, TWICE], ids=["once", "twice"])
def test_restarted_run_is_the_run_with_that_schedule_from_the_start(
    uninterrupted, tmp_path, monkeypatch, restarts
):
    whole = uninterrupted(KEPT, restarts)
    record = records.read(tiny.file(KEPT, "ci", SEED, whole.folder, restarts))
    assert record == whole.run.record
    assert record["restarts"] == [list(restart) for restart in restarts]
    assert record["segments"] == (
        [[1, 2], [3, 4], [5, 6]] if restarts == TWICE else [[1, 2], [3, 6]]
    )
    assert record["history"]["learning_rate"] == pytest.approx(RATES[restarts])
    schedule = Steps(((0, 0.05), *restarts))
    monkeypatch.setitem(
        experiments._EXPERIMENTS, KEPT, replace(EXPERIMENTS[KEPT], schedule=schedule)
    )
    run = train(tmp_path, KEPT)
    assert run.history == record["history"]
    assert arrays(checkpoint(tmp_path, KEPT)) == arrays(checkpoint(whole.folder, KEPT, restarts))


@pytest.mark.slow
def test_restarted_run_leaves_the_one_that_it_leaves_untouched(uninterrupted):
    before = files_below(uninterrupted(KEPT).folder)
    for restarts in (ONCE, TWICE):
        after = files_below(uninterrupted(KEPT, restarts).folder)
        assert {k: after.get(k) for k in before} == before
        own = tiny.file(KEPT, "ci", SEED, None, restarts).stem
        assert own == "ci-seed3" + "".join(f"-from{e}-at{r:g}" for e, r in restarts)
        new = {k for k in after if k not in before}
        assert new and all(f"/{own}" in k for k in new)
        before = after


@pytest.mark.slow
def test_restarted_run_that_is_interrupted_goes_on_where_it_was(uninterrupted, tmp_path):
    shutil.copytree(uninterrupted(KEPT).folder, tmp_path / "runs")
    interrupted(tmp_path / "runs", KEPT, ONCE, steps=STEPS + 2)
    train(tmp_path / "runs", KEPT, restarts=ONCE)
    segments = [[1, 2], [3, 3], [4, EPOCHS]]
    assert_same(uninterrupted(KEPT, ONCE), tmp_path / "runs", segments, KEPT, ONCE)


@pytest.mark.slow
def test_restart_from_where_there_is_no_checkpoint_names_those_there_are(uninterrupted, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(uninterrupted(KEPT).folder, folder)
    damage(checkpoint(folder, KEPT).with_name("epoch-004.npz"))
    before = files_below(folder)
    cases = [
        (KEPT, (3, 1e-4), "after epoch 3 .*: there are those after 2, 6$"),
        (KEPT, (4, 1e-4), "after epoch 4 .*: there are those after 2, 6$"),
        (ID, (2, 1e-4), "after epoch 2 .*: there are none$"),
    ]
    for id, restart, message in cases:
        with pytest.raises(CourseError, match=message) as error:
            train(folder, id, restarts=(restart,))
        assert "\n" not in str(error.value)
    assert files_below(folder) == before
    with pytest.raises(CourseError, match="name its `folder`"):
        tiny.run(KEPT, profile="ci", seed=SEED, restarts=ONCE)


# --- live runs, callbacks, precision --------------------------------------------------------------


@pytest.mark.slow
def test_live_run_with_a_network_of_ones_own_leaves_no_trace(folders):
    budget = {"images": 30, "test_images": 20, "epochs": 1}
    run = tiny.run(ID, seed=0, data=tiny.data(), dropout=0.5, **budget)
    assert run.finished and run.record is None and run.experiment.id == ID
    assert any(isinstance(layer, keras.layers.Dropout) for layer in run.model.layers)
    assert len(run.data.x_train) == 30
    assert {len(curve) for curve in run.history.values()} == {1}
    assert set(run.history) == set(records.CURVES)
    assert all(map(math.isfinite, (run.accuracy, *run.history["loss"])))
    assert files_below(folders) == {}


@pytest.mark.parametrize("change", [{"epochs": 1}, {"images": 100}, {"block": None}, {"l2": 0.1}])
def test_run_with_changes_of_its_own_cannot_be_recorded(folders, change):
    with pytest.raises(CourseError, match="cannot be recorded"):
        tiny.run(ID, profile="quick", folder=folders, **change)
    with pytest.raises(CourseError, match="cannot be recorded"):
        tiny.run(replace(EXPERIMENTS[ID], batch=8), profile="quick", folder=folders)


@pytest.mark.slow
def test_callbacks_of_the_reader_see_every_epoch_and_change_nothing(uninterrupted, tmp_path):
    file, board = tmp_path / "log.csv", tmp_path / "board"
    callbacks = [keras.callbacks.CSVLogger(file), keras.callbacks.TensorBoard(board)]
    run = train(tmp_path / "runs", callbacks=callbacks)
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS))
    assert [float(row["val_loss"]) for row in rows] == pytest.approx(run.history["test_loss"])
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(
        run.history["learning_rate"]
    )
    assert {f.parent.name for f in board.rglob("events.*")} == {"train", "validation"}
    assert_same(uninterrupted(), tmp_path / "runs", [[1, EPOCHS]])


@pytest.mark.slow
def test_precision_is_in_the_record_and_the_policy_as_before(stopped_after_three, tmp_path):
    shutil.copytree(stopped_after_three, tmp_path / "runs")
    before = keras.config.dtype_policy()
    run = train(tmp_path / "runs", precision="mixed_bfloat16")
    assert keras.config.dtype_policy() == before and before.name == "float32"
    assert run.record["precision"] == "mixed_bfloat16"
    conv = run.model.get_layer("conv")
    assert (conv.compute_dtype, conv.variable_dtype) == ("bfloat16", "float32")
    assert run.record["segments"] == [[1, EPOCHS]], "no checkpoint in float32 is continued"
    with pytest.raises(TypeError):
        train(None, precision="mixed_bfloat16", nonsense=True)
    assert keras.config.dtype_policy() == before
