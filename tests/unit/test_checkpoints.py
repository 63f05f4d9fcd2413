import builtins
import contextlib
import errno
import io
import os
import shutil

import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.engine import checkpoints
from course_lib.settings import CourseError

RUN = {"experiment": "net", "seed": 0, "network": "of these layers", "precision": "float32"}


def network(filters=2):
    x = inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(filters, 3, name="conv")(x)
    x = layers.Dropout(0.5, seed=1)(layers.BatchNormalization(name="bn")(x))
    outputs = layers.Dense(10, name="logits")(layers.Flatten()(x))
    model = keras.Model(inputs, outputs, name="net")
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def variables(model) -> list[np.ndarray]:
    """Weights, the state of dropout's seeds, momentum, step: all that training changes."""
    return [v.numpy().copy() for v in [*model.variables, *model.optimizer.variables]]


def fill(model, value):
    """Every variable at numbers of its own, as if training had brought it there."""
    for k, v in enumerate([*model.variables, *model.optimizer.variables]):
        v.assign(np.full(v.shape, value + k).astype(v.dtype))


def same(model, expected) -> bool:
    found = variables(model)
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.fixture
def saved(tmp_path):
    """A folder with two generations, and what each of them holds."""
    model, held = network(), []
    for epoch in (1, 2):
        fill(model, 10 * epoch)
        checkpoints.save(model, tmp_path, {"run": RUN, "epoch": epoch})
        held.append(variables(model))
    return tmp_path, held


def test_checkpoint_restores_every_variable_and_the_state(saved):
    folder, (_, newest) = saved
    model = network()
    assert not same(model, newest)
    assert checkpoints.load(model, folder, RUN) == {"run": RUN, "epoch": 2}
    assert same(model, newest)
    kept = {f.name for f in folder.iterdir()}
    assert kept == {checkpoints.NEWEST, checkpoints.BEFORE}, "two generations and nothing else"


def test_the_state_is_read_without_a_network_from_the_newest_whole_checkpoint(saved):
    folder, _ = saved
    assert checkpoints.state(folder)["epoch"] == 2
    truncate(folder / checkpoints.NEWEST)
    assert checkpoints.state(folder)["epoch"] == 1
    assert checkpoints.state(folder / "nowhere") is None


def test_checkpoint_holds_dropouts_seeds_the_momentum_and_the_step(saved):
    model = network()
    names = [v.path for v in checkpoints._variables(model)]
    for part in ("conv/kernel", "bn/moving_variance", "seed_generator_state", "momentum"):
        assert any(part in name for name in names), part
    assert any(name.endswith("iteration") for name in names)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file):
    """A bit of an array: the archive around it has bytes that nothing hangs on."""
    content = bytearray(file.read_bytes())
    content[content.index(b"\x93NUMPY") + 200] ^= 0x40
    file.write_bytes(content)


def not_a_checkpoint(file):
    np.save(file.with_suffix(".npy"), np.zeros(3))
    os.replace(file.with_suffix(".npy"), file)


DAMAGES = {
    "truncated": truncate,
    "flipped bit": flip,
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("no checkpoint"),
    "array": not_a_checkpoint,
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_newest_gives_way_to_the_one_before(saved, damage, capsys):
    folder, (before, _) = saved
    DAMAGES[damage](folder / checkpoints.NEWEST)
    model = network()
    assert checkpoints.load(model, folder, RUN)["epoch"] == 1
    assert same(model, before)
    assert ("is damaged" in capsys.readouterr().out) == (damage != "missing")
    DAMAGES[damage](folder / checkpoints.BEFORE)
    model = network()
    untouched = variables(model)
    assert checkpoints.load(model, folder, RUN) is None, "both gone: start afresh"
    assert same(model, untouched)


@pytest.mark.slow
def test_no_damaged_byte_is_ever_loaded_or_raises_an_error(saved):
    """Every 11th byte of the file in turn: the newest whole, or the one before it."""
    folder, (before, newest) = saved
    file, model = folder / checkpoints.NEWEST, network()
    whole = file.read_bytes()
    for at in range(0, len(whole), 11):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        state = checkpoints.load(model, folder, RUN)
        assert same(model, newest if state["epoch"] == 2 else before), f"byte {at}"


def test_damaged_newest_does_not_push_out_the_whole_one_before(saved):
    """Damaged, resumed from the one before, saved, damaged again: still resumable."""
    folder, _ = saved
    truncate(folder / checkpoints.NEWEST)
    model = network()
    checkpoints.load(model, folder, RUN)
    checkpoints.save(model, folder, {"run": RUN, "epoch": 2})
    truncate(folder / checkpoints.NEWEST)
    assert checkpoints.load(network(), folder, RUN)["epoch"] == 1


def test_checkpoint_that_cannot_be_read_just_now_is_not_thrown_away(saved, monkeypatch):
    """A disk or network that fails for a moment is no damage to the file."""
    folder, _ = saved

    def fails(*args, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, contextlib.suppress(CourseError):
        patch.setattr(builtins, "open", fails)
        patch.setattr(io, "open", fails)
        checkpoints.load(network(), folder, RUN)
    assert checkpoints.load(network(), folder, RUN)["epoch"] == 2


@pytest.mark.parametrize(
    "change, says",
    [
        ({"seed": 5}, "differs in seed"),
        ({"network": "of others", "precision": "mixed_bfloat16"}, "network, precision"),
        ({"backend": "jax"}, "differs in backend"),
    ],
)
def test_checkpoint_of_another_run_is_refused_and_left_alone(saved, change, says):
    folder, (_, newest) = saved
    model = network()
    untouched = variables(model)
    with pytest.raises(CourseError, match=says) as error:
        checkpoints.load(model, folder, RUN | change)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert same(model, untouched)
    assert checkpoints.load(model, folder, RUN)["epoch"] == 2 and same(model, newest)


@pytest.mark.parametrize("state", [{}, {"run": None}, {"run": "of an earlier version"}])
def test_checkpoint_that_does_not_say_whose_it_is_is_refused(tmp_path, state):
    checkpoints.save(network(), tmp_path, state)
    with pytest.raises(CourseError, match="differs in experiment, seed, network, precision"):
        checkpoints.load(network(), tmp_path, RUN)


def test_checkpoint_of_a_network_of_other_shapes_is_refused(saved):
    folder, _ = saved
    model = network(filters=3)
    untouched = variables(model)
    with pytest.raises(CourseError, match="differs in the shapes of its weights"):
        checkpoints.load(model, folder, RUN)
    assert same(model, untouched)


def test_restart_from_a_checkpoint_of_another_run_is_refused(kept):
    folder, _ = kept
    with pytest.raises(CourseError, match="there are none"):
        checkpoints.restart(network(), folder, RUN | {"seed": 5}, 4, 0.5)


@pytest.mark.parametrize("fault", ["fsync", "replace"])
def test_full_disk_keeps_the_checkpoints_that_are_there(saved, monkeypatch, fault):
    folder, (_, newest) = saved
    model = network()

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, fault, no_space)
        with pytest.raises(CourseError) as error:
            checkpoints.save(model, folder, {"run": RUN, "epoch": 3})
    assert "No space left on device" in str(error.value) and "\n" not in str(error.value)
    assert {f.name for f in folder.iterdir()} == {checkpoints.NEWEST, checkpoints.BEFORE}
    assert checkpoints.load(model, folder, RUN)["epoch"] == 2 and same(model, newest)


def after(epochs) -> dict:
    return {"run": RUN, "history": {"loss": [1.0] * epochs}}


@pytest.fixture
def kept(tmp_path):
    """A folder after six epochs of which every second one's checkpoint stays; what they hold."""
    model, held = network(), {}
    for epoch in range(1, 7):
        fill(model, 10 * epoch)
        checkpoints.save(model, tmp_path, after(epoch), keep_every=2)
        held[epoch] = variables(model)
    return tmp_path, held


def test_checkpoints_stay_and_a_run_starts_again_from_each(kept):
    folder, held = kept
    stay = {checkpoints.kept(folder, epoch).name for epoch in (2, 4, 6)}
    assert {f.name for f in folder.iterdir()} == {checkpoints.NEWEST, checkpoints.BEFORE, *stay}
    model = network()
    for epoch in (4, 2, 6):
        state = checkpoints.restart(model, folder, RUN, epoch, 0.5)
        assert state == {**after(epoch), "stopped_early": False, "restarts": [[epoch, 0.5]]}
        assert same(model, held[epoch])
    assert checkpoints.load(model, folder, RUN) == after(6) and same(model, held[6])


def test_second_restart_is_noted_after_the_first(kept, tmp_path):
    folder, _ = kept
    model, own = network(), tmp_path / "restarted"
    state = checkpoints.restart(model, folder, RUN, 2, 0.5)
    state["history"]["loss"] *= 2
    checkpoints.save(model, own, state, keep_every=2)
    again = checkpoints.restart(model, own, RUN, 4, 0.1)
    assert again["restarts"] == [[2, 0.5], [4, 0.1]]


@pytest.mark.parametrize("epoch, there", [(3, "2, 4, 6"), (8, "2, 4, 6"), (4, "2, 6")])
def test_restart_without_a_checkpoint_says_where_there_are_some(kept, epoch, there):
    folder, _ = kept
    flip(checkpoints.kept(folder, 4)) if epoch == 4 else None
    model = network()
    before = variables(model)
    with pytest.raises(CourseError) as error:
        checkpoints.restart(model, folder, RUN, epoch, 0.5)
    message = str(error.value)
    assert f"after epoch {epoch} " in message and message.endswith(f"those after {there}")
    assert "\n" not in message and same(model, before)
    with pytest.raises(CourseError, match="there are none"):
        checkpoints.restart(model, folder / "nowhere", RUN, epoch, 0.5)


def test_checkpoint_that_stays_is_not_changed_by_later_ones(kept):
    """It shares its bytes with what was the newest one: they must never be written in place."""
    folder, held = kept
    file = checkpoints.kept(folder, 6)
    before, model = file.read_bytes(), network()
    for epoch in (7, 9):
        fill(model, 10 * epoch)
        checkpoints.save(model, folder, after(epoch), keep_every=2)
        truncate(folder / checkpoints.NEWEST)  # as damage may befall the newest one later
        checkpoints.load(model, folder, RUN)
    assert file.read_bytes() == before
    fill(model, 99)
    checkpoints.save(model, folder, after(6), keep_every=2)  # the same epoch once more
    checkpoints.restart(model, folder, RUN, 6, 0.5)
    assert not same(model, held[6])


def test_full_disk_at_a_checkpoint_that_is_to_stay_keeps_the_last_one(kept, monkeypatch):
    folder, held = kept
    model = network()

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", no_space)
        for _ in range(2):
            with pytest.raises(CourseError, match="No space left on device"):
                checkpoints.save(model, folder, after(8), keep_every=2)
    assert not list(folder.glob(".*")) and not checkpoints.kept(folder, 8).exists()
    assert checkpoints.load(model, folder, RUN) == after(6) and same(model, held[6])


def test_weights_come_back_at_half_precision(tmp_path):
    model = network()
    file = checkpoints.save_weights(model, tmp_path / "family" / "net.safetensors")
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    assert file.stat().st_size < 2 * model.count_params() + 2000, "two bytes a number"
    other = network()
    checkpoints.load_weights(other, file)
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        assert theirs.dtype == "float32"
        np.testing.assert_array_equal(ours.numpy().astype("float16"), theirs)


def test_weight_too_large_for_half_precision_is_an_error_and_not_infinity(tmp_path):
    model = network()
    model.get_layer("bn").moving_variance.assign([1.0, 1e6])
    with pytest.raises(CourseError, match="moving_variance"):
        checkpoints.save_weights(model, tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_network_missing_or_damaged_are_refused(tmp_path):
    model = network()
    file = checkpoints.save_weights(model, tmp_path / "net.safetensors")
    before = variables(model)
    with pytest.raises(CourseError, match="another network"):
        checkpoints.load_weights(network(filters=3), file)
    with pytest.raises(CourseError, match="not recorded yet"):
        checkpoints.load_weights(model, tmp_path / "none.safetensors")
    truncate(file)
    with pytest.raises(CourseError, match="damaged") as error:
        checkpoints.load_weights(model, file)
    assert "\n" not in str(error.value) and same(model, before)
