import json
from dataclasses import asdict

import expressions
import numpy as np
import pytest
import verify
from safetensors.numpy import save_file

from course_lib import experiments, records, settings


@pytest.fixture
def folder(tmp_path, monkeypatch, a_record):
    monkeypatch.setattr(settings, "RECORDS_DIR", tmp_path)
    records.write(a_record, tmp_path)
    return tmp_path


@pytest.fixture
def a_record():
    experiment, profile = experiments.get("squeezenet/bn"), settings.profile("quick")
    config = records.configuration(experiment, profile)
    history = {curve: [0.25, 0.5, 0.75, 0.5] for curve in records.CURVES}
    return {
        "schema": records.SCHEMA,
        "experiment": experiment.id,
        "profile": "quick",
        "seed": 0,
        "config": config,
        "config_hash": records.digest(config),
        "data": {"name": "cifar10", "fingerprint": "a", "images": 12_800, "test_images": 10_000},
        "commit": "0123456789ab",
        "finished": "2026-01-01T00:00:00+00:00",
        "versions": {},
        "backend": "tensorflow",
        "hardware": asdict(experiment.parameters),
        "seconds_per_epoch": [1.0] * 4,
        "segments": [[1, 4]],
        "history": history,
        **records.outcome(history),
    }


def test_a_record_in_its_place_passes_and_gives_the_book_its_number(folder):
    assert verify.check_records(folder) == (1, [])
    assert expressions.value("last('squeezenet/bn', 'quick')") == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"commit": "0123456789ab-dirty"}, "committed"),
        ({"seed": 1}, "belongs in"),
        ({"schema": 99}, "schema 99"),
        ({"config_hash": "0"}, "config_hash"),
    ],
)
def test_a_wrong_record_is_named(folder, a_record, change, says):
    file = records.path("squeezenet/bn", "quick", 0, folder)
    file.write_text(json.dumps(a_record | change))
    (fault,) = verify.check_records(folder)[1]
    assert says in fault


@pytest.fixture
def weights(folder, a_record, monkeypatch):
    """A file of weights beside the record of the full run that they come from."""
    monkeypatch.setattr(settings, "WEIGHTS_DIR", folder / "weights")
    full = records.path("squeezenet/bn", "full", 0)
    full.write_text(json.dumps(a_record))
    file = settings.weights_of("squeezenet/bn")
    file.parent.mkdir(parents=True)
    save_file({"w": np.ones(5, np.float16)}, file, {"config_hash": a_record["config_hash"]})
    return file


def test_weights_beside_the_record_of_their_run_pass(weights, folder):
    assert verify.check_weights(folder / "weights") == (1, [])
    assert verify.check_weights(folder / "none") == (0, [])


def test_weights_of_another_run_or_of_none_are_named(weights, folder):
    save_file({"w": np.ones(5, np.float16)}, weights, {"config_hash": "another"})
    (fault,) = verify.check_weights(folder / "weights")[1]
    assert "squeezenet/bn: not those of its full run" in fault
    records.path("squeezenet/bn", "full", 0).unlink()
    assert len(verify.check_weights(folder / "weights")[1]) == 1


def test_all_weights_together_stay_small(weights, folder, monkeypatch):
    monkeypatch.setattr(verify, "ALL_WEIGHTS", 10)
    (fault,) = verify.check_weights(folder / "weights")[1]
    assert "more than 10" in fault


def test_records_of_one_table_saw_the_same_images(folder, a_record):
    other = a_record | {"seed": 1, "data": a_record["data"] | {"fingerprint": "b"}}
    records.write(other, folder)
    (fault,) = verify.check_records(folder)[1]
    assert "other images" in fault
