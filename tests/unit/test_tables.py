"""What the book reads from records: loading, tables, verdicts."""

import pytest

from course_lib import experiments, records
from course_lib.settings import CourseError


@pytest.fixture
def publish(folders, make_record):
    def write(id, *accuracies, profile="quick"):
        for seed, last in enumerate(accuracies):
            records.write(make_record(id, profile, seed, last))

    return write


def test_load_takes_the_profile_with_most_seeds_and_sorts_seeds_as_numbers(publish, make_record):
    assert records.load("squeezenet/bn") == []
    publish("squeezenet/bn", 0.4, 0.5, 0.6)
    records.write(make_record(seed=10))
    publish("squeezenet/bn", 0.9, profile="full")
    publish("squeezenet/bn", *[0.3] * 9, profile="ci")
    assert [r["seed"] for r in records.load("squeezenet/bn")] == [0, 1, 2, 10]
    assert {r["profile"] for r in records.load(experiments.get("squeezenet/bn"))} == {"quick"}
    publish("squeezenet/bn", *[0.7] * 4, profile="tenth")
    found = {r["profile"] for r in records.load("squeezenet/bn")}
    assert found == {"tenth"}, "of several with as many seeds the one that goes further"
    assert len(records.load("squeezenet/bn", "full")) == 1
    with pytest.raises(CourseError, match="squeezenet/bn"):
        records.load("squeezenet/bnn")


LAST, BEST = (f"quick: {which} epoch, %" for which in ("last", "best"))


def test_table_shows_every_experiment_and_says_what_is_not_recorded(publish):
    publish("squeezenet/bn", 0.4, 0.5, 0.6)
    table = records.table()
    assert list(table.index) == experiments.ids()
    bn, plain = table.loc["squeezenet/bn"], table.loc["squeezenet/plain"]
    assert bn[LAST] == "50.00\xa0±\xa010.00 (3\xa0seeds)"
    assert bn[BEST] == "51.00\xa0±\xa010.00"
    assert bn["parameters"] == "741,088"
    assert plain[LAST] == plain[BEST] == "not recorded yet"
    assert "10 %" in plain["reported"]
    assert table.loc["squeezenet/he", "reported"] == "our control"
    assert list(records.table(["squeezenet/he"]).index) == ["squeezenet/he"]


def test_table_has_columns_for_each_profile_that_was_recorded(publish):
    ids = ["squeezenet/bn", "squeezenet/plain"]
    assert list(records.table(ids))[:2] == [LAST, BEST], "where nothing is: the first to be made"
    publish("squeezenet/bn", 0.4, 0.5, 0.6)
    publish("squeezenet/plain", 0.7, profile="tenth")
    table = records.table(ids)
    tenth = "tenth: last epoch, %"
    assert list(table) == [LAST, BEST, tenth, tenth.replace("last", "best"),
                           "reported", "parameters"]  # fmt: skip
    assert table.loc["squeezenet/plain", tenth] == "70.00 (1\xa0seed)"
    assert table.loc["squeezenet/bn", tenth] == "not recorded yet"
    assert list(records.table(ids, "full"))[0] == "full: last epoch, %", "the one that is named"


def test_provenance_says_where_runs_were_made_and_what_is_missing(publish):
    publish("squeezenet/bn", 0.4, 0.5)
    table = records.provenance(["squeezenet/bn", "squeezenet/plain"]).reset_index()
    rows = {(row["experiment"], row["profile"]): row for _, row in table.iterrows()}
    bn = rows["squeezenet/bn", "quick"]
    assert (bn["seeds"], bn["seconds an epoch"]) == ("0, 1", "1, 1")
    assert (bn["hardware"], bn["backend"]) == ("any, 2 cores", "tensorflow 2.20"), "each once"
    assert bn["finished"] == "2026-01-01"
    missing = [k for k, row in rows.items() if row["seeds"] == "not recorded yet"]
    assert len(rows) == 2 and missing == [("squeezenet/plain", "full")]


@pytest.mark.parametrize(
    "first, second, verdict",
    [
        ((0.50, 0.51, 0.52), (0.30, 0.31, 0.32), "+20.00 points, 95 % interval"),
        ((0.50, 0.51, 0.52), (0.30, 0.31, 0.32), ": better."),
        ((0.30, 0.31, 0.32), (0.50, 0.51, 0.52), ": worse."),
        ((0.40, 0.50, 0.60), (0.39, 0.51, 0.57), ": undecided."),
        ((0.90,), (0.10, 0.11, 0.12), "undecided (one seed)"),
        ((0.90, 0.91, 0.92), (0.10, 0.11), "undecided (two seeds)"),
        ((0.90, 0.91), (0.10,), "undecided (one seed)"),
        ((0.20,) * 3, (0.10,) * 3, "the same in every run on each side"),
        ((0.50, 0.51, 0.52), (0.10,) * 3, ": better."),  # of which SciPy warns
        ((0.50,), (), "squeezenet/plain is not recorded under quick yet"),
        ((), (0.50,), "squeezenet/bn is not recorded under quick yet"),
    ],
)
def test_verdict_follows_the_stated_rule(publish, first, second, verdict):
    publish("squeezenet/bn", *first)
    publish("squeezenet/plain", *second)
    said = records.compare("squeezenet/bn", experiments.get("squeezenet/plain"))
    under = "" if "not recorded" in verdict else ", quick"
    assert said.startswith(f"squeezenet/bn against squeezenet/plain{under}: ")
    assert verdict in said and "\n" not in said


def test_interval_is_welchs(publish):
    """By hand: means 50 and 31, deviations 2 and 1, n = 3; s.e. 1.2910, 2.9412 d.f., t 3.2188."""
    publish("squeezenet/bn", 0.48, 0.50, 0.52)
    publish("squeezenet/plain", 0.30, 0.31, 0.32)
    said = records.compare("squeezenet/bn", "squeezenet/plain")
    low, high = 19 - 3.2188 * 1.2910, 19 + 3.2188 * 1.2910
    assert f"95 % interval {low:+.2f} to {high:+.2f}: better" in said


def test_a_verdict_names_its_profile_and_is_drawn_where_there_are_seeds_enough(publish):
    bn, plain = "squeezenet/bn", "squeezenet/plain"
    for id, accuracy in ((bn, 0.5), (plain, 0.1)):
        publish(id, accuracy, accuracy + 0.01, accuracy + 0.02)
        publish(id, 1 - accuracy, profile="full")
    assert records.compare(bn, plain).startswith(f"{bn} against {plain}, quick: +40.00 points")
    said = records.compare(bn, plain, "full")
    assert said == f"{bn} against {plain}, full: -40.00 points, undecided (one seed)."
    for id in (bn, plain):
        publish(id, 0.7, 0.8, 0.9, profile="tenth")
    assert f"{plain}, tenth: +0.00 points" in records.compare(bn, plain), "it goes further"
