"""Keras' own settings, from a home folder, the environment or a cell, decide no result."""

import json
import os
import subprocess
import sys

import pytest

from course_lib import settings
from course_lib.settings import CourseError

# A notebook: a cell before the course is imported, a build, a cell, a build and a run.
NOTEBOOK = """
import hashlib, os, pytest
from course_lib.settings import CourseError
digest = hashlib.sha256()

def add(model):
    digest.update(model.to_json().encode())
    for weights in model.get_weights():
        digest.update(weights.tobytes())

def cells():
    {first}
    from tests.unit import tiny
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch)
        from course_lib import experiments
        from course_lib.engine import training
        add(experiments.get("tiny/dropout").build(seed=1))
        import keras
        {then}
        add(experiments.get("tiny/dropout").build(seed=1))
        run = tiny.run("tiny/dropout", profile="ci", seed=1)
        add(run.model)
        # Epsilon would show nowhere else: on TensorFlow it does not reach this network's loss.
        print(digest.hexdigest(), run.history, keras.config.epsilon())

try:
    cells()
except CourseError as error:
    print("refused:", error)
"""


def written(folder, content) -> str:
    """A KERAS_HOME whose keras.json holds `content`: text, or values to be coded."""
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "keras.json").write_text(text)
    return str(folder)


def python(*words, **variables):
    """A process without any of the caller's KERAS_ variables."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=settings.ROOT,
        env={**clean, **variables},
        capture_output=True,
        text=True,
    )


def shown(home, first="pass", then="pass", **variables) -> str:
    program = NOTEBOOK.format(first=first, then=then)
    done = python("-c", program, KERAS_HOME=home, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return shown(written(tmp_path_factory.mktemp("plain") / "keras", {}))


ODD = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}
CHANGED = "; ".join(
    f"keras.config.set_{name}({value!r})"
    for name, value in {**ODD, "dtype_policy": "float64", "max_epochs": 1}.items()
)
LIMITS = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1", "KERAS_NNX_ENABLED": "1"}
LIMITS |= {"KERAS_BACKEND": "", "KERAS_TORCH_DEVICE": "nonsense"}
# keras.json, variables and cells. Several at once, since each case takes a process of its own.
PINNED = [
    (ODD | {"backend": "jax", "nnx_enabled": True}, LIMITS),
    ("no JSON", {"KERAS_MAX_EPOCHS": "1", "first": f"import keras; {CHANGED}", "then": CHANGED}),
]


@pytest.mark.slow
@pytest.mark.xdist_group("pins")
@pytest.mark.parametrize("content, variables", PINNED, ids=str)
def test_a_setting_of_keras_changes_no_network_and_no_run(content, variables, plain, tmp_path):
    assert "refused" not in plain
    assert shown(written(tmp_path / "keras", content), **variables) == plain


RUN = ("-m", "course_lib", "run", "squeezenet/bn", "--profile", "ci")


@pytest.mark.slow
def test_what_cannot_be_set_is_refused_in_a_notebook(tmp_path):
    out = shown(written(tmp_path / "keras", {"backend": "jax"}), first="import keras")
    assert out.startswith("refused: Keras runs on jax, KERAS_BACKEND is ten")
    assert len(out.splitlines()) == 1 and "start Python again" in out


def nnx(patch, keras):
    patch.setattr(keras.config, "is_nnx_enabled", lambda: True, raising=False)


def device(patch, keras):
    patch.setattr(keras.backend, "backend", lambda: "torch")
    patch.setenv("KERAS_BACKEND", "torch")
    patch.setenv("KERAS_TORCH_DEVICE", "cpu")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda patch, _: patch.setenv("KERAS_BACKEND", "absent"), "Keras runs on"),
        (nnx, "KERAS_NNX_ENABLED to 0"),
        (device, "KERAS_TORCH_DEVICE: unset it"),
    ],
    ids=["backend", "nnx", "device"],
)
def test_what_cannot_be_set_later_is_refused_whenever_a_network_is_built(monkeypatch, change, says):
    from course_lib import backend

    change(monkeypatch, backend.keras)
    with pytest.raises(CourseError, match=says):
        backend.pin()


@pytest.mark.slow
@pytest.mark.parametrize(
    "content, variables, says",
    [
        ([], {}, "keras.json"),
        ({"image_data_format": "first"}, {}, "Invalid `image_data_format`"),
        ({}, {"KERAS_BACKEND": "numpy"}, "KERAS_BACKEND is numpy: set it to one of tensorflow"),
        ({}, {"KERAS_BACKEND": "absent"}, "set KERAS_BACKEND to one of tensorflow, jax, torch"),
    ],
    ids=str,
)
def test_what_keras_does_not_start_with_is_one_line(content, variables, says, tmp_path):
    home = written(tmp_path / "keras", content)
    done = python(*RUN, KERAS_HOME=home, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("course_lib: ") and done.stderr.count("\n") == 1
    assert says in done.stderr and "start Python again" in done.stderr
