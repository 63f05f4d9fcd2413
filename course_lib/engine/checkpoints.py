"""Checkpoints of a run: all that training changes, written whole or not at all, two generations.

Keras' weight files leave out the state of dropout's seeds and its BackupAndRestore restarts an
interrupted epoch with mid-epoch weights. Here a checkpoint holds every variable of model and
optimizer after a completed epoch. NumPy's .npz carries a checksum per array, which reading
verifies, so a damaged file is noticed and the one before it is used.
"""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np

from course_lib import files
from course_lib.settings import CourseError

NEWEST, BEFORE = "checkpoint.npz", "checkpoint-before.npz"


def _variables(model) -> list:
    optimizer = model.optimizer.variables if model.optimizer else []
    # Metrics start afresh every epoch; `model.variables` holds weights and dropout's seeds.
    metrics = {id(v) for m in model.metrics for v in m.variables}
    return [v for v in model.variables if id(v) not in metrics] + list(optimizer)


def kept(folder: Path, epoch: int) -> Path:
    """The checkpoint after that many epochs, of those that stay."""
    return folder / f"epoch-{epoch:03}.npz"


def save(model, folder: Path, state: dict, keep_every: int = 0) -> None:
    """Write model, optimizer and `state` (JSON values) as the newest checkpoint in `folder`.

    keep_every: epochs between checkpoints that stay, for `restart`; 0 keeps none but the last two.
    """
    arrays = {f"v{k}": np.asarray(v) for k, v in enumerate(_variables(model))}
    state = {**state, "arrays": len(arrays)}  # a damaged table of contents may hide some
    epoch = len(state["history"]["loss"]) if keep_every else 0
    again = "the one before is kept: make room, then run the same command again"
    with files.whole_file(folder / NEWEST, again, folder / BEFORE) as part:
        with open(part, "wb") as file:  # np.savez would add its suffix to a path
            np.savez(file, state=np.array(json.dumps(state)), **arrays)
        if epoch and epoch % keep_every == 0:
            with files.whole_file(kept(folder, epoch), again) as copy:
                shutil.copyfile(part, copy)


def load(model, folder: Path, run: dict) -> dict | None:
    """Restore the newest whole checkpoint in `folder`; its state, or None if there is none.

    run: whose it must be, as `state["run"]` names it; another's is a CourseError.
    """
    for name in (NEWEST, BEFORE):
        if not (folder / name).exists():
            continue
        found = _read(folder / name)
        if found is None:
            print(f"{folder / name} is damaged; going back to the one before it")
            (folder / name).unlink()  # or saving would put it in the place of the whole one
            continue
        if differs := _differs(model, *found, run):
            raise CourseError(
                f"{folder} holds another run (differs in {', '.join(differs)}): delete it, or "
                "choose another COURSE_RUNS_DIR"
            )
        _restore(model, found[1])
        return found[0]
    return None


def restart(model, folder: Path, run: dict, epoch: int, learning_rate: float) -> dict:
    """Restore the checkpoint after `epoch` epochs; its state, with the restart noted in it."""
    file = kept(folder, epoch)
    found = _read(file) if file.exists() else None
    if found is None or _differs(model, *found, run):
        read = {f: _read(f) for f in folder.glob("epoch-*.npz") if f != file}
        good = [f for f, found in read.items() if found and not _differs(model, *found, run)]
        whole = sorted(int(f.stem.removeprefix("epoch-")) for f in good)
        there = f"there are those after {', '.join(map(str, whole))}" if whole else "there are none"
        raise CourseError(f"no checkpoint after epoch {epoch} of this run in {folder}: {there}")
    _restore(model, found[1])
    state = found[0]
    return {
        **state,
        "stopped_early": False,
        "restarts": [*state.get("restarts", []), [epoch, learning_rate]],
    }


def goes_on(then: dict, now: dict, folder: Path | None) -> None:
    """A CourseError if a run would go on under other circumstances than it began (see
    `backend.circumstances`). The commit may move as long as the library's code stays."""
    differs = [name for name in now if name != "commit" and then.get(name) != now[name]]
    if differs:
        words = {
            "code": f"the code of commit {then['commit']}",
            "versions": ", ".join(f"{k} {v}" for k, v in then["versions"].items()),
            "threads": f"{then['threads']} threads",
            "hardware": f"a processor {then['hardware']['processor']}",
            "environment": f"the variables {then.get('environment') or 'unset'}",
        }
        raise CourseError(
            f"{folder} was begun with {' and '.join(words[name] for name in differs)}, which is "
            "not what is here, and a run ends as it began: finish it there, or delete that folder "
            "and begin anew"
        )


def state(folder: Path) -> dict | None:
    """The state in the newest whole checkpoint in `folder`, without its arrays; None if none."""
    for name in (NEWEST, BEFORE):
        with (
            contextlib.suppress(Exception),  # as `_read` says
            open(folder / name, "rb") as file,
            np.load(file) as arrays,
        ):
            return json.loads(str(arrays["state"]))
    return None


def _read(file: Path) -> tuple[dict, list] | None:
    """State and arrays in a checkpoint, None if it is damaged."""
    try:
        whole = file.read_bytes()
    except OSError as error:  # the disk's fault, perhaps for a moment, and not the file's
        raise CourseError(f"cannot read {file}: {error.strerror}") from error
    try:
        with np.load(io.BytesIO(whole)) as arrays:
            state = {"run": None, **json.loads(str(arrays["state"]))}
            found = [arrays[f"v{k}"] for k in range(len(arrays.files) - 1)]
            whole_table = state.pop("arrays", len(found)) == len(found)
            return (state, found) if whole_table else None
    except Exception:  # zipfile and NumPy raise a dozen types, by the byte that is damaged
        return None


def _differs(model, state: dict, arrays: list, run: dict) -> list[str]:
    """In what a checkpoint is not of that run, in words; empty where it is."""
    theirs = state["run"] if isinstance(state["run"], dict) else {}
    odd = [name for name in {**run, **theirs} if theirs.get(name) != run.get(name)]
    shapes = [v.shape for v in _variables(model)] == [a.shape for a in arrays]
    return odd or ([] if shapes else ["the shapes of its weights"])


def _restore(model, arrays: list) -> None:
    for variable, array in zip(_variables(model), arrays, strict=True):
        variable.assign(array)


def save_weights(model, file: Path, source: dict[str, str] | None = None) -> Path:
    """Write the weights as float16 safetensors: half the size, and no code inside.

    source: names of the run that they come from, stored with them.
    """
    from safetensors.numpy import save

    exact = {w.path: np.asarray(w) for w in model.weights}
    large = [k for k, a in exact.items() if abs(a).max(initial=0) > np.finfo(np.float16).max]
    if large:
        raise CourseError(f"{large[0]} is too large for float16: not written to {file}")
    arrays = {k: a.astype(np.float16) for k, a in exact.items()}
    with files.whole_file(file) as part:
        part.write_bytes(save(arrays, source or {}))
    return file


def weights_source(file: Path) -> dict[str, str]:
    """The `source` that stands in a file of `save_weights`; empty for no or another file."""
    from safetensors import safe_open

    try:
        with safe_open(file, "np") as weights:
            return weights.metadata() or {}
    except Exception:  # a missing file, or safetensors' own type for a damaged one
        return {}


def load_weights(model, file: Path) -> None:
    """Load what `save_weights` wrote into a model of the same architecture."""
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
    except FileNotFoundError as error:
        raise CourseError(f"no weights at {file}: they are not recorded yet") from error
    except Exception as error:  # safetensors raises its own type for a damaged file
        raise CourseError(f"{file} is damaged ({error}): fetch it again") from error
    wanted = {w.path: w for w in model.weights}
    if {k: tuple(w.shape) for k, w in wanted.items()} != {k: a.shape for k, a in arrays.items()}:
        raise CourseError(f"{file} holds the weights of another network than {model.name}")
    for name, weight in wanted.items():
        weight.assign(arrays[name].astype(np.float32))
