"""What `make verify` holds records and weights against, and local runs against records."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

import evidence
import numpy as np
import pytest
import reruns
import verify
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from safetensors.numpy import save_file

from course_lib import experiments, records, settings
from course_lib.models import graph
from tests.unit import tiny

BN, COMMIT = "squeezenet/bn", "0123456789ab"
GLOROT = "squeezenet/glorot-bn"


@pytest.fixture(autouse=True)
def today(folders, monkeypatch):
    """Records and weights of their own; every network is that of the records, as is the commit."""
    (folders / "records").mkdir()
    monkeypatch.setattr(evidence, "network", lambda id: "00")
    monkeypatch.setattr(evidence, "history", lambda: [COMMIT + "0" * 28])


@pytest.fixture
def published(make_record):
    """(last accuracy, id, profile, seed, changes) -> a record of its own history, published."""

    def publish(last=0.5, id=BN, profile="quick", seed=0, **changes):
        record = unlike_others(make_record(id, profile, seed, last))
        records.write(record | changes)
        return record | changes

    return publish


def unlike_others(record):
    """The record with losses that no other has."""
    for curve in ("loss", "test_loss"):
        noise = sum(map(ord, record["experiment"])) + 1000 * record["seed"]
        record["history"][curve] = [v + 1e-6 * noise for v in record["history"][curve]]
    rule = experiments.get(record["experiment"]).choose
    return record | records.outcome(record["history"], rule)


def faults():
    return evidence.check_records(settings.RECORDS_DIR)[1]


def test_records_in_their_places_pass(published, make_record):
    for seed, last in enumerate([0.5, 0.51, 0.49, 0.505]):
        published(last, seed=seed)
        published(last, id=GLOROT, seed=seed)
    assert evidence.check_records(settings.RECORDS_DIR) == (8, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"commit": f"{COMMIT}-dirty"}, "committed"),
        ({"commit": "unknown"}, "committed"),
        ({"commit": "ba9876543210"}, "ba9876543210 is not in the history"),
        ({"seed": 1}, "belongs in squeezenet/bn/quick-seed1.json"),
        ({"schema": 99}, "schema 99"),
        ({"config_hash": "0"}, "config_hash"),
        ({"network": "11"}, "with the network 11…, and that of squeezenet/bn today is 00…"),
        ({"data": {}}, "`name`"),
        ({"restarts": 7}, "`restarts`"),
    ],
)
def test_a_wrong_record_is_named_and_hides_no_other(published, make_record, change, says):
    published(id=GLOROT, seed=3, commit="ba9876543210")
    file = tiny.file(BN, "quick", 0)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(make_record() | change))
    first, *rest = sorted(faults(), key=lambda fault: GLOROT in fault)
    assert says in first and "\n" not in first
    assert any(GLOROT in fault and "history" in fault for fault in rest)


def test_runs_restarted_or_drawn_are_not_among_the_published(make_record):
    records.write(make_record(restarts=[[2, 1e-4]]))
    assert ["again by hand" in fault for fault in faults()] == [True]
    records.write(make_record(profile="ci", seed=1))
    assert any("smoke test" in fault for fault in faults())


def test_a_run_of_tomorrow_is_named(published):
    soon, later = ((datetime.now(UTC) + timedelta(hours=h)) for h in (23, 25))
    published(finished=soon.isoformat(timespec="seconds"))
    published(finished=later.isoformat(timespec="seconds"), seed=1)
    assert ["quick-seed1" in f and "in the future" in f for f in faults()] == [True]


def test_the_network_is_that_of_the_graph_and_a_broken_builder_is_said(monkeypatch):
    monkeypatch.undo()
    assert evidence.network(BN) == graph.of(experiments.get(BN))
    evidence.network.cache_clear()
    monkeypatch.setattr(graph, "of", lambda experiment: 1 / 0)
    assert evidence.network(BN) == "none: ZeroDivisionError: division by zero"
    evidence.network.cache_clear()


def commits(folder) -> list[str]:
    """A repository of two commits in `folder`; their names, the newest first."""
    for words in (["init", "-q"], *[["commit", "-q", "--allow-empty", "-m", m] for m in "ab"]):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(git, cwd=folder, check=True)
    done = subprocess.run(["git", "rev-list", "HEAD"], cwd=folder, capture_output=True, text=True)
    return done.stdout.split()


def test_commits_are_looked_up_where_the_history_is(tmp_path, monkeypatch, published, capsys):
    monkeypatch.undo()
    record = {"commit": "ba9876543210"}
    full, shallow, bare = tmp_path / "full", tmp_path / "shallow", tmp_path / "full" / "below"
    full.mkdir()
    newest, oldest = commits(full)
    clone = ["git", "clone", "-q", "--depth", "1", f"file://{full}", str(shallow)]
    subprocess.run(clone, check=True)
    bare.mkdir()
    for folder in (shallow, bare, tmp_path / "nowhere"):
        monkeypatch.setattr(settings, "ROOT", folder)
        assert evidence.commits({"a": record}) == []
        assert "not checked" in capsys.readouterr().out
    monkeypatch.setattr(settings, "ROOT", full.resolve())
    assert evidence.history() == [newest, oldest]
    found = {"a": record, "b": {"commit": oldest[:12]}, "c": {"commit": "unknown"}}
    assert [fault[0] for fault in evidence.commits(found)] == ["a"]


@pytest.mark.parametrize("curve", ["loss", "test_loss"])
@pytest.mark.parametrize("id, seed", [(BN, 1), (GLOROT, 0)])
def test_one_history_under_two_names_is_named(published, make_record, curve, id, seed):
    first, other = published(), unlike_others(make_record(id, "quick", seed))
    records.write(other)
    assert faults() == []
    other["history"][curve] = first["history"][curve]
    records.write(other | records.outcome(other["history"]))
    (fault,) = faults()
    assert f"has the {curve} of" in fault


def test_one_history_under_two_precisions_is_named(published):
    record = published()
    records.write({**record, "precision": "mixed_bfloat16"})
    (fault,) = faults()
    assert "has the loss of" in fault


def test_dead_runs_may_share_their_accuracies_and_a_loss_that_stands_still(published, make_record):
    for seed in range(2):
        record = published(0.1, seed=seed, id="squeezenet/plain")
        still = {**record["history"], "test_loss": [2.5] * 4}
        records.write(record | {"history": still} | records.outcome(still))
    assert faults() == []


def test_experiments_that_differ_after_the_profile_has_ended_may_agree(make_record):
    for id in ("resnet-v1/20", "resnet-v1/20-on-time"):
        records.write(make_record(id, "quick", 0))
    assert faults() == []


@pytest.mark.parametrize("field", ["fingerprint", "content"])
def test_records_of_one_table_saw_the_same_images(published, make_record, field):
    data = make_record()["data"] | {field: "another"}
    published()
    published(seed=1, data=data)
    (fault,) = faults()
    assert "quick-seed1.json: other images of cifar10" in fault and field in fault


def test_content_that_was_never_asked_is_not_compared(published, make_record):
    data = make_record()["data"]
    published(seed=1, data=data | {"content": records.UNKNOWN}, migrated="from schema 1")
    published()
    assert faults() == []


@pytest.mark.parametrize("last, wrong", [(0.9, True), (0.1, True), (0.52, False)])
def test_a_result_lies_where_the_other_seeds_let_expect_it(published, last, wrong):
    for seed, usual in enumerate([0.50, 0.51, 0.49, 0.505, 0.495]):
        published(usual, seed=seed)
    published(last, seed=9)
    says = [f for f in faults() if "quick-seed9" in f]
    assert bool(says) == wrong and len(faults()) == wrong
    assert not wrong or f"{100 * last:.2f} % is outside" in says[0]


def test_a_precision_that_is_not_the_profiles_has_seeds_of_its_own(published, make_record):
    for seed, last in enumerate([0.50, 0.51, 0.49, 0.505]):
        published(last, seed=seed)
    other = unlike_others(make_record(seed=9, last=0.9)) | {"precision": "mixed_bfloat16"}
    records.write(other)
    assert faults() == []
    assert reruns.verdict(other) == (True, "bit for bit the published run")
    agrees, line = reruns.verdict(other | {"seed": 8})
    assert agrees and "too little (1 published seeds" in line


def test_few_seeds_and_networks_that_die_under_some_decide_nothing(published):
    for seed, last in enumerate([0.5, 0.501, 0.9]):
        published(last, seed=seed)
    for seed, last in enumerate([0.1, 0.1, 0.1001, 0.286, 0.1]):
        published(last, seed=seed, id="squeezenet/he")
    for seed, last in enumerate([0.5, 0.502, 0.501, 0.1]):
        published(last, seed=seed, id=GLOROT)
    assert [GLOROT in fault for fault in faults()] == [True], "the only one that died"
    published(0.1, seed=4, id=GLOROT)
    assert faults() == []


def test_the_interval_is_the_one_of_the_books():
    # Three values 1, 2, 3: mean 2, deviation 1; t of 2 degrees at 0.9995 is 31.599.
    def run(accuracy):
        config = {"arguments": {"classes": 1000}}
        return {"final": {"test_accuracy": accuracy / 100}, "config": config}

    low, high = evidence.expected(run(2), [run(1), run(2), run(3)])
    assert (low, high) == pytest.approx((2 - 36.487, 2 + 36.487), abs=1e-3)
    assert evidence.expected(run(2), [run(1), run(2)]) is None


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES |= st.lists(VALUES, max_size=2) | st.dictionaries(st.text(max_size=3), VALUES, max_size=2)


@given(st.sampled_from(records.Record.__struct_fields__), VALUES)
@limits(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_record_ends_verify(folders, make_record, field, value):
    file = tiny.file(BN, "quick", 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(make_record() | {field: value}))
    count, found = evidence.check_records(settings.RECORDS_DIR)
    assert count == 1 and not any("cannot be judged" in fault for fault in found)


def test_what_nobody_foresaw_in_one_file_hides_no_other(published, monkeypatch):
    published()
    published(seed=1, commit="ba9876543210")
    judge = evidence.out_of_place
    monkeypatch.setattr(
        evidence,
        "out_of_place",
        lambda record, *place: judge(record, *place) if record["seed"] else record["nothing"],
    )
    first, second = faults()
    assert "quick-seed0.json: cannot be judged (KeyError" in first and "history" in second


# --- weights --------------------------------------------------------------------------------------


@pytest.fixture
def weights(published):
    """(of, source) -> a file of weights beside the record of the run that they come from."""

    def write(of="full", **source):
        record = published(profile=of)
        own = {k: record[k] for k in ("config_hash", "network", "profile")}
        file = settings.weights_of(BN)
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"w": np.ones(5, np.float16)}, file, {**own, **source})
        return file

    return write


def weights_faults():
    return evidence.check_weights(settings.WEIGHTS_DIR)[1]


@pytest.mark.parametrize("profile", ["full", "tenth"])
def test_weights_beside_the_record_of_their_run_pass(weights, profile):
    assert evidence.check_weights(settings.WEIGHTS_DIR) == (0, [])
    weights(profile)
    assert evidence.check_weights(settings.WEIGHTS_DIR) == (1, [])


@pytest.mark.parametrize(
    "source, says",
    [
        ({"config_hash": "another"}, "not those of its run of seed 0 (config_hash)"),
        ({"network": "another"}, "not those of its run of seed 0 (network)"),
        ({"profile": "quick"}, "of no full run and of no tenth"),
        ({"profile": "tenth"}, "of a tenth, and there is a full run"),
    ],
)
def test_weights_of_another_run_are_named(weights, source, says):
    weights(**source)
    (fault,) = weights_faults()
    assert "squeezenet/bn.safetensors" in fault and says in fault


def test_weights_of_no_run_and_damaged_ones_are_named(weights):
    file = weights()
    tiny.file(BN, "full", 0).unlink()
    file.rename(file.with_name("nb.safetensors"))
    weights("tenth").write_bytes(b"")
    tenth, unknown = weights_faults()
    assert "of no full run" in tenth and "the run that they name has no record" in unknown


@pytest.mark.parametrize("name", ["ALL_WEIGHTS", "MOST_WEIGHTS"])
def test_weights_stay_small_each_and_together(weights, monkeypatch, name):
    weights()
    monkeypatch.setattr(evidence, name, 10)
    (fault,) = weights_faults()
    assert "bytes are more than 10" in fault


# --- local runs -----------------------------------------------------------------------------------


@pytest.fixture
def rerun(tmp_path):
    """A record -> its file among local runs."""
    return lambda record: records.write(json.loads(json.dumps(record)), tmp_path / "runs")


def test_on_the_same_machine_a_rerun_agrees_bit_for_bit(published, rerun, tmp_path, capsys):
    record = published()
    rerun({**record, "seconds_per_epoch": [9.0] * 4, "finished": "2026-02-01T00:00:00+00:00"})
    assert reruns.check_reruns(tmp_path / "runs") == 0
    assert "quick-seed0.json: bit for bit the published run" in capsys.readouterr().out
    record["history"]["loss"][1] += 1e-9
    rerun(record)
    assert reruns.check_reruns(tmp_path / "runs") == 1
    line, total = capsys.readouterr().out.splitlines()
    assert "should be the published run, and differs in loss" in line and "1 runs: 1" in total


@pytest.mark.parametrize(
    "change, says",
    [
        ({"threads": 2}, "threads"),
        ({"versions": {"python": "3", "keras": "3", "tensorflow": "2", "numpy": "2"}}, "versions"),
        ({"commit": "ba9876543210"}, "code"),
        ({"commit": "unknown"}, "code"),
        ({"threads": "unknown", "migrated": "from schema 1"}, "threads"),
        ({"seed": 9}, "no published run of its seed"),
    ],
)
def test_elsewhere_a_rerun_lies_within_the_seeds(published, rerun, change, says):
    few = published(0.5)
    for last, agrees, words in ((0.51, True, "too little"), (0.9, True, "too little")):
        assert reruns.verdict(change_of(few, last) | change)[0] is agrees
        assert words in reruns.verdict(change_of(few, last) | change)[1]
    for seed, last in enumerate([0.51, 0.49, 0.505], start=1):
        published(last, seed=seed)
    assert reruns.verdict(change_of(few, 0.51) | change)[0]
    agrees, line = reruns.verdict(change_of(few, 0.9) | change)
    assert not agrees and "90.00 % is outside" in line and says in line


def change_of(record, last):
    """The record with another last accuracy."""
    record = json.loads(json.dumps(record))
    record["history"]["test_accuracy"][-1] = last
    return record | records.outcome(record["history"])


def test_reruns_that_compare_with_nothing_say_so(published, make_record, rerun, tmp_path, capsys):
    rerun(make_record(profile="ci"))
    rerun(make_record(restarts=[[2, 1e-4]]))
    rerun({**make_record(seed=3), "network": "11"})
    (tmp_path / "runs" / "broken.json").write_text("{")
    assert reruns.check_reruns(tmp_path / "runs") == 2
    lines = capsys.readouterr().out.splitlines()
    assert sum("not published" in line for line in lines) == 2
    assert sum("another network" in line or "is not JSON" in line for line in lines) == 2


def test_code_is_the_same_where_the_library_is(tmp_path, monkeypatch):
    trees = {"aaaaaaa:course_lib": "1", "bbbbbbb:course_lib": "1", "ccccccc:course_lib": "2"}
    monkeypatch.setattr(evidence, "git", lambda command, what: trees.get(what))
    assert reruns.same_code("aaaaaaa", "bbbbbbb") and reruns.same_code("ddddddd", "ddddddd")
    assert not reruns.same_code("aaaaaaa", "ccccccc")
    assert not reruns.same_code("aaaaaaa", "ddddddd") and not reruns.same_code("unknown", "unknown")


def test_verify_of_runs_looks_at_them_alone(tmp_path, monkeypatch, capsys, rerun, published):
    rerun(published())
    monkeypatch.setattr("sys.argv", ["verify.py", "--runs", str(tmp_path / "runs")])
    assert verify.main() == 0 and "1 runs: 0 against" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["verify.py", "--runs", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="2"):
        verify.main()
    assert "no folder" in capsys.readouterr().err
