import builtins
import errno
import functools
import io
import json
import math
import os

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from course_lib import experiments, records
from course_lib.experiments import runs
from course_lib.settings import CourseError
from tests.unit import tiny


def refused(record, *words):
    with pytest.raises(CourseError) as error:
        records.check(record, "that file")
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message
    return message


@pytest.mark.parametrize("profile", ["quick", "ci", "full"])
def test_record_reads_back_as_it_was_written(folders, make_record, profile):
    record = make_record(profile=profile, seed=7)
    file = records.write(record)
    assert file == folders / "records" / "squeezenet" / "bn" / f"{profile}-seed7.json"
    assert records.read(file) == record
    assert json.loads(file.read_text(encoding="utf-8")) == record
    assert [f.name for f in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("profile, epochs, images", [("quick", 4, 12_800), ("full", 300, None)])
def test_configuration_says_what_the_profile_takes(profile, epochs, images):
    experiment = experiments.get("squeezenet/bn")
    config = runs.named(experiment, profile, 0).configuration()
    assert (config["epochs"], config["protocol_epochs"]) == (epochs, 300)
    assert (config["images"], config["test_images"], config["data"]) == (images, None, "cifar10")
    assert runs.named(experiment, profile, 0, epochs=1).configuration()["epochs"] == 1


REQUIRED = [f.name for f in msgspec.structs.fields(records.Record) if f.required]
REQUIRED.remove("schema")


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, [2], 2.0, [[[]]] * 50])
def test_unknown_schema_version_is_refused(make_record, version):
    refused({**make_record(), "schema": version}, "that file", "schema", "record the run again")


@pytest.mark.parametrize("field", REQUIRED)
def test_missing_field_or_one_of_another_type_is_refused(make_record, field):
    record = make_record()
    refused({k: v for k, v in record.items() if k != field}, "that file", f"`{field}`")
    refused({**record, field: None}, "that file", f"`{field}`")


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
@pytest.mark.parametrize("curve", ["loss", "test_accuracy", "learning_rate"])
def test_number_that_is_not_finite_is_refused(make_record, curve, bad):
    record = make_record()
    record["history"][curve][2] = bad
    refused(record, "that file", f"history {curve} 3", "not a finite number")


def test_nan_in_a_file_is_refused_on_reading(folders, make_record):
    file = records.write(make_record())
    file.write_text(file.read_text().replace("2.3,", "NaN,", 1))
    with pytest.raises(CourseError, match="history loss 1 is not a finite number"):
        records.read(file)


@pytest.mark.parametrize("values", [None, 5, "abcd", [0.1], [None] * 4, ["0.1"] * 4])
def test_curve_that_is_not_a_number_per_epoch_is_refused(make_record, values):
    record = make_record()
    record["history"]["test_accuracy"] = values
    refused(record, "that file", "test_accuracy")
    del record["history"]["test_accuracy"]
    refused(record, "that file", "test_accuracy")


def test_other_configuration_is_refused_and_named(make_record):
    record = make_record()
    refused({**record, "config_hash": "0" * 64}, "config_hash", "record the run again")
    changed = {**record["config"], "batch": 128}
    refused({**record, "config": changed, "config_hash": runs.digest(changed)}, "differs in batch")
    # Of another experiment: hash and configuration agree with each other, not with the id.
    refused({**make_record("squeezenet/he"), "experiment": "squeezenet/bn"}, "arguments")
    refused({**make_record(profile="full"), "profile": "quick"}, "epochs")


@pytest.mark.parametrize("name", ["final", "best"])
@pytest.mark.parametrize("key, value", [("test_accuracy", 0.99), ("test_loss", 0.1), ("epoch", 1)])
def test_final_and_best_must_follow_from_the_history(make_record, name, key, value):
    record = make_record()
    record[name][key] = value
    refused(record, "final or best does not follow")


def test_outcome_is_the_last_epoch_and_the_first_best_one():
    history = {"test_accuracy": [0.1, 0.5, 0.5, 0.4], "test_loss": [4.0, 3.0, 2.0, 1.0]}
    assert records.outcome(history) == {
        "final": {"epoch": 4, "test_accuracy": 0.4, "test_loss": 1.0},
        "best": {"epoch": 2, "test_accuracy": 0.5, "test_loss": 3.0},
    }


@pytest.mark.parametrize("field, near", [("experiment", "squeezenet/bn"), ("profile", "quick")])
def test_record_of_an_unknown_experiment_or_profile_says_which_file(make_record, field, near):
    refused({**make_record(), field: near.upper()}, "that file", near)


def test_empty_profile_is_not_read_from_the_environment(make_record, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "quick")
    refused({**make_record(), "profile": ""}, "profile")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", "truncated"]
)
def test_damaged_file_is_one_clear_error(folders, make_record, content):
    file = records.write(make_record())
    file.write_bytes(file.read_bytes()[:-200] if content == "truncated" else content)
    with pytest.raises(CourseError) as error:
        records.read(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(CourseError, match="cannot read"):
        records.read(folders / "nowhere.json")


@pytest.mark.parametrize("record", [{}, {"schema": 1}, [], None])
def test_what_is_no_record_is_not_written(folders, record):
    with pytest.raises(CourseError):
        records.write(record)
    assert not (folders / "records").exists()


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file that takes a few characters, then finds the disk full."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, text):
        self.file.write(text[:100])
        no_space()


FAULTS = {
    "open": (builtins, "open", no_space),
    "write": (io, "open", lambda *a, **k: FullFile(builtins.open(*a, **k))),  # noqa: SIM115
    "fsync": (os, "fsync", no_space),
    "replace": (os, "replace", no_space),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_full_disk_leaves_the_old_record_and_nothing_else(folders, make_record, monkeypatch, fault):
    file = records.write(make_record(last=0.5))
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(*FAULTS[fault], raising=False)
        with pytest.raises(CourseError) as error:
            records.write(make_record(last=0.9))
    assert "No space left on device" in str(error.value) and "\n" not in str(error.value)
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == [file.name], "no .part may be left"


# --- stopped early, chosen, restarted by hand -----------------------------------------------------

CHOOSE = "lowest validation_loss"
EARLY = "densenet/growth-32"  # stops early, holds images out and keeps its best epoch on them


def shortened(record, epochs):
    """The record as if its run had ended after so many epochs."""
    record["history"] = {k: values[:epochs] for k, values in record["history"].items()}
    record["seconds_per_epoch"] = record["seconds_per_epoch"][:epochs]
    record["segments"] = [[1, epochs]]
    rule = experiments.get(record["experiment"]).choose
    return {**record, **records.outcome(record["history"], rule)}


@pytest.mark.parametrize("epochs", [1, 3])
def test_shorter_history_is_that_of_a_run_that_stopped_early(folders, make_record, epochs):
    record = shortened(make_record(EARLY), epochs)
    for wrong in ({}, {"stopped_early": False}):
        refused({**record, **wrong}, "seconds_per_epoch is not 4 numbers")
    refused({**make_record(EARLY), "stopped_early": False}, "stopped_early is true where")
    early = {**record, "stopped_early": True}
    assert records.read(records.write(early)) == early


def test_only_a_protocol_with_early_stopping_may_end_early(make_record):
    record = {**shortened(make_record("squeezenet/bn"), 3), "stopped_early": True}
    refused(record, "seconds_per_epoch is not 4 numbers")


def test_early_end_allows_neither_none_nor_more_nor_uneven_epochs(make_record):
    record = {**make_record(EARLY), "stopped_early": True}
    records.check(record)  # stopped in its last epoch
    history = {k: [*values, values[-1]] for k, values in record["history"].items()}
    longer = {**record, "history": history, "seconds_per_epoch": [1.0] * 5}
    refused(
        {**longer, **records.outcome(history, CHOOSE)}, "5 epochs are none of its protocol of 4"
    )
    empty = {**record, "history": {k: [] for k in history}, "seconds_per_epoch": []}
    refused(empty, "0 epochs are none")
    record = shortened(record, 3)
    refused({**record, "seconds_per_epoch": [1.0] * 2}, "loss is not 2 numbers")
    del record["history"]["test_loss"][0]
    refused(record, "test_loss is not 3 numbers")


@pytest.mark.parametrize(
    "rule, epoch",
    [
        ("highest test_accuracy", 2),
        ("lowest test_loss", 4),
        ("lowest validation_loss", 3),
        ("highest validation_loss", 1),
    ],
)
def test_chosen_epoch_follows_the_rule_and_of_several_is_the_first(rule, epoch):
    history = {
        "test_accuracy": [0.1, 0.5, 0.5, 0.4],
        "test_loss": [4.0, 3.0, 2.0, 1.0],
        "validation_loss": [3.0, 2.0, 1.0, 1.0],
    }
    rows = records.outcome(history, rule)
    accuracy, loss = history["test_accuracy"][epoch - 1], history["test_loss"][epoch - 1]
    assert rows["chosen"] == {"epoch": epoch, "test_accuracy": accuracy, "test_loss": loss}
    assert {k: rows[k] for k in ("final", "best")} == records.outcome(history)


@pytest.mark.parametrize("id, epoch", [(EARLY, 1), ("resnet-v1/20", 2)])
def test_chosen_must_follow_from_the_history(folders, make_record, id, epoch):
    record = make_record(id)
    assert record["chosen"]["epoch"] == epoch
    assert records.percent([records.read(records.write(record))], "chosen") == [
        round(100 * record["history"]["test_accuracy"][epoch - 1], 4)
    ]
    refused({**record, "chosen": record["final"]}, "does not follow from its history")
    refused({k: v for k, v in record.items() if k != "chosen"}, "chosen does not follow")
    assert "chosen" not in make_record("squeezenet/bn")


def test_restarted_runs_stand_beside_the_runs_they_left_and_are_not_counted(folders, make_record):
    plain = [make_record(seed=seed) for seed in (0, 1)]
    once = make_record(seed=1, restarts=[[2, 1e-4]])
    twice = make_record(seed=2, restarts=[[2, 1e-4], [3, 0.05]])
    files = [records.write(r) for r in (*plain, once, twice)]
    assert [f.name for f in files] == [
        "quick-seed0.json",
        "quick-seed1.json",
        "quick-seed1-from2-at0.0001.json",
        "quick-seed2-from2-at0.0001-from3-at0.05.json",
    ]
    assert len({f.parent for f in files}) == 1
    assert files[2] == tiny.file("squeezenet/bn", "quick", 1, None, ((2, 1e-4),))
    assert records.read(files[3]) == twice
    assert records.load("squeezenet/bn") == plain
    (last, *_) = records.table(["squeezenet/bn"]).loc["squeezenet/bn"]
    assert last.endswith("(2\xa0seeds)")


def test_no_two_chains_of_restarts_share_a_file():
    rates = [10.0**-k for k in range(1, 7)] + [0.3 * 10.0**-k for k in range(6)]
    chains = [(), *(((epoch, rate),) for epoch in (1, 2, 12) for rate in rates)]
    chains += [(*chain, (20, rate)) for chain in chains for rate in rates]
    names = {tiny.file("squeezenet/bn", "full", 0, None, chain).name for chain in chains}
    assert len(names) == len(chains)
    stems = {tiny.file("squeezenet/bn", "full", 0, None, c).with_suffix("").name for c in chains}
    assert {f"{stem}.json" for stem in stems} == names, "nor a folder of checkpoints"


@pytest.mark.parametrize(
    "profile, precision, name",
    [
        ("tenth", None, "tenth-seed0"),
        ("tenth", "mixed_bfloat16", "tenth-seed0"),
        ("tenth", "float32", "tenth-seed0"),
        ("tenth", "mixed_float16", "tenth-seed0-mixed_float16"),
        ("quick", None, "quick-seed0"),
        ("quick", "float32", "quick-seed0"),
        ("quick", "mixed_bfloat16", "quick-seed0-mixed_bfloat16"),
        ("full", "mixed_bfloat16", "full-seed0-mixed_bfloat16"),
    ],
)
def test_a_file_names_its_precision_where_that_is_not_the_profiles(profile, precision, name):
    assert tiny.file("squeezenet/bn", profile, 0, None, (), precision).stem == name
    with pytest.raises(CourseError, match="no precision ''"):
        tiny.file("squeezenet/bn", profile, 0, None, (), "")


def test_tables_take_a_tenth_in_either_precision_and_no_other(folders, make_record):
    for seed, precision in enumerate(runs.PRECISIONS):
        records.write({**make_record(profile="tenth", seed=seed), "precision": precision})
        records.write({**make_record(profile="quick", seed=seed), "precision": precision})
    tenth, quick = (records.load("squeezenet/bn", name) for name in ("tenth", "quick"))
    assert [r["precision"] for r in tenth] == ["float32", "mixed_bfloat16"]
    assert [r["precision"] for r in quick] == ["float32"]


def test_further_curves_are_checked_like_the_others(make_record):
    record = {**make_record(EARLY), "precision": "mixed_bfloat16"}
    records.check(record)
    record["history"]["validation_accuracy"][1] = math.nan
    refused(record, "history validation_accuracy 2 is not a finite number")


# --- what no run can have left --------------------------------------------------------------------

RATE, FEW = 0.01, "squeezenet/bn"


def put(record, place: str, value):
    """`value` in the record's `place`, "history loss 2" say; lists count from 1."""
    *way, last = [int(k) - 1 if k.isdigit() else k for k in place.split(" ")]
    for key in way:
        record = record[key]
    record[last] = value


IMPOSSIBLE = [
    ("history accuracy 2", 1.01, "accuracy 2 is 1.01"),
    ("history loss 1", -2.0, "loss 1 is -2"),
    ("history cross_entropy 4", 2.5, "cross_entropy 4 is above the loss"),
    ("history loss 2", 10**400, "out of range - at `history.loss[1]`"),
    ("history loss 2", True, "`history.loss[1]`"),
    ("history kindness", [1.0] * 4, "`kindness` - at `history`"),
    ("history cross_entropy", "unknown", "cross_entropy is not 4 numbers"),
    ("history validation_loss", [2.0] * 4, "validation_accuracy is not 4 numbers"),
    ("history learning_rate 3", 0.02, "learning_rate 3 is 0.02, the schedule's is 0.01"),
    ("seconds_per_epoch 2", 0, "seconds_per_epoch"),
    ("seed", -1, "`seed`"),
    ("seed", True, "`seed`"),
    ("threads", 0, ">= 1 - at `threads`"),
    ("threads", "unknown", "'threads' is unknown"),
    ("hardware", {}, "`processor` - at `hardware`"),
    ("hardware processor", "two\nlines", "`hardware.processor`"),
    ("hardware instructions", "unknown", "'hardware instructions' is unknown"),
    ("hardware accelerators", [1], "`hardware.accelerators[0]`"),
    ("versions", {}, "versions are not those of keras"),
    ("data a\nb", "1", "unknown field `a b` - at `data`"),
    ("versions keras", "unknown", "'versions keras' is unknown"),
    ("backend", "theano", "'theano' - at `backend`"),
    ("data", {}, "`name` - at `data`"),
    ("data content", "unknown", "'data content' is unknown"),
    ("data name", "cifar100", "'cifar100' are not the cifar10"),
    ("data images", 12_801, "more than the 12800"),
    ("data test_images", 0, ">= 1 - at `data.test_images`"),
    ("commit", "../../0123456789ab", "commit"),
    ("finished", "2026-01-01T00:00:00", "no ISO time with its zone"),
    ("precision", "float8", "'float8' - at `precision`"),
    ("profile", "../full", "no profile"),
    ("experiment", "../squeezenet/bn", "no experiment"),
    ("segments", [[-3, 4]], "segments"),
    ("segments", [[1, 2], [4, 4]], "segments"),
    ("segments", [[1, 4], [5, 4]], "segments"),
    ("restarts", [["/../../evil", 1.0]], "restarts"),
    ("restarts", [[2, "/../../evil"]], "restarts"),
    ("restarts", [[2, math.inf]], "restarts"),
    ("restarts", [[2, RATE], [2, RATE]], "restarts"),
    ("restarts", [[4, RATE]], "restarts"),
    ("restarts", [[2, 0.5]], "learning_rate 3 is 0.01, the schedule's is 0.5"),
    ("stopped_early", True, "stopped_early"),
    ("chosen", {"epoch": 1}, "does not follow"),
    ("final", {}, "does not follow"),
    ("best epoch", 0, "does not follow"),
    ("reviewed", True, "unknown field `reviewed`"),
]


@pytest.mark.parametrize("place, value, says", IMPOSSIBLE, ids=[p for p, *_ in IMPOSSIBLE])
def test_what_no_run_can_have_left_is_refused(make_record, place, value, says):
    record = make_record()
    put(record, place, value)
    refused(record, "that file: ", says, "record the run again")


def test_a_migrated_record_says_what_was_never_asked_and_nothing_else(make_record):
    record = {**make_record(), "migrated": "from schema 1", "threads": records.UNKNOWN}
    for place in ("data content", "data order", "hardware instructions", "history cross_entropy"):
        put(record, place, records.UNKNOWN)
    records.check(record)
    for place in ("data fingerprint", "hardware processor", "history loss", "network"):
        wrong = json.loads(json.dumps(record))
        put(wrong, place, records.UNKNOWN)
        refused(wrong, place.split()[-1])


def test_the_rate_after_a_restart_by_hand_is_that_of_the_restart(make_record):
    record = make_record(restarts=[[2, 1e-4]])
    assert record["history"]["learning_rate"] == [0.01, 0.01, 1e-4, 1e-4]
    records.check(record)
    record["history"]["learning_rate"][3] = 0.01
    refused(record, "learning_rate 4 is 0.01, the schedule's is 0.0001")


@pytest.mark.parametrize(
    "id, profile", [("resnet-v1/20", "full"), ("minigooglenet/lr-1e-2", "tenth")]
)
def test_rates_follow_the_schedule_of_the_profile_as_float32_holds_them(make_record, id, profile):
    record = make_record(id, profile)
    rates = record["history"]["learning_rate"]
    assert len(set(rates)) > 2
    rates[:] = [float(np.float32(rate)) for rate in rates]
    records.check(record)
    rates[5], rates[-1] = rates[-1], rates[5]
    refused(record, "learning_rate 6")


@pytest.mark.parametrize("place", ["data", "history", "config", "final", "restarts", "segments"])
@pytest.mark.parametrize("depth", [500, 100_000])
def test_deep_nesting_is_one_clear_error(folders, make_record, place, depth):
    file = records.write(make_record())
    text = json.dumps({**make_record(), place: "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
    file.write_text(text)
    with pytest.raises(CourseError) as error:
        records.read(file)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["unknown", "/../../evil", "..", "\ud800", "a\nb", FEW, 10**400, -1, 1e308, 5e-324]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["epoch", "name", "loss", "a"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value, way=()):
    """The way to everything below `value`, and to a key more in every dictionary."""
    items = [*value.items(), ("a\nb", 0)] if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield (*way, key)
        yield from places(inner, (*way, key))


@given(st.data())
@limits(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_record_changed_anywhere_is_whole_or_one_clear_error(tmp_path, make_record, data):
    record = make_record(data.draw(st.sampled_from([FEW, EARLY])))
    ways = [*places(record), ("restarts",), ("stopped_early",), ("chosen",), ("migrated",)]
    *way, last = data.draw(st.sampled_from(ways))
    holder = functools.reduce(lambda inner, key: inner[key], way, record)
    holder[last] = data.draw(JSON)
    file = tmp_path / "record.json"
    file.write_text(json.dumps(record))
    try:
        found = records.read(file)
    except CourseError as error:
        assert "\n" not in str(error)
        return
    assert runs.of(found).file(tmp_path).parent == tmp_path / found["experiment"]
    assert records.write(found, tmp_path) == runs.of(found).file(tmp_path)
