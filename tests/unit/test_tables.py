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


def test_load_takes_full_runs_before_quick_ones_and_sorts_seeds_as_numbers(publish, make_record):
    assert records.load("squeezenet/bn") == []
    publish("squeezenet/bn", 0.4, 0.5, 0.6)
    records.write(make_record(seed=10))
    assert [r["seed"] for r in records.load("squeezenet/bn")] == [0, 1, 2, 10]
    publish("squeezenet/bn", 0.9, profile="full")
    publish("squeezenet/bn", 0.3, profile="ci")
    assert {r["profile"] for r in records.load(experiments.get("squeezenet/bn"))} == {"full"}
    assert len(records.load("squeezenet/bn", "quick")) == 4
    with pytest.raises(CourseError, match="squeezenet/bn"):
        records.load("squeezenet/bnn")


def test_smoke_tests_are_never_taken_for_results(publish):
    publish("squeezenet/bn", 0.9, profile="ci")
    assert records.load("squeezenet/bn") == []


@pytest.mark.parametrize(
    "values, said",
    [([], "not recorded yet"), ([50.0], "50.00"), ([48.0, 50.0, 52.0], "50.00\xa0±\xa02.00")],
)
def test_spread(values, said):
    assert records.spread(values) == said


def test_table_shows_every_experiment_and_says_what_is_not_recorded(publish):
    publish("squeezenet/bn", 0.4, 0.5, 0.6)
    table = records.table()
    assert list(table.index) == experiments.ids()
    bn, plain = table.loc["squeezenet/bn"], table.loc["squeezenet/plain"]
    assert (bn["last epoch, %"], bn["best epoch, %"]) == (
        "50.00\xa0±\xa010.00",
        "51.00\xa0±\xa010.00",
    )
    assert (bn["seeds"], bn["profile"], bn["parameters"]) == (3, "quick", "741,088")
    assert plain["last epoch, %"] == plain["best epoch, %"] == "not recorded yet"
    assert plain["seeds"] == 0
    assert "10 %" in plain["reported"]
    assert table.loc["squeezenet/he", "reported"] == "our control"
    assert list(records.table(["squeezenet/he"]).index) == ["squeezenet/he"]


def test_provenance_says_where_runs_were_made_and_what_is_missing(publish):
    publish("squeezenet/bn", 0.4, 0.5)
    table = records.provenance(["squeezenet/bn", "squeezenet/plain"]).reset_index()
    rows = {(row["experiment"], row["profile"]): row for _, row in table.iterrows()}
    bn = rows["squeezenet/bn", "quick"]
    assert (bn["seeds"], bn["seconds an epoch"]) == ("0, 1", "1, 1")
    assert (bn["hardware"], bn["backend"]) == ("any, 2 cores", "tensorflow 2.20"), "each once"
    assert bn["finished"] == "2026-01-01"
    missing = [k for k, row in rows.items() if row["seeds"] == "not recorded yet"]
    assert len(rows) == 4 and len(missing) == 3 and ("squeezenet/bn", "full") in missing


@pytest.mark.parametrize(
    "first, second, verdict",
    [
        ((0.50, 0.51, 0.52), (0.30, 0.31, 0.32), "+20.00 points, 95 % interval"),
        ((0.50, 0.51, 0.52), (0.30, 0.31, 0.32), ": better."),
        ((0.30, 0.31, 0.32), (0.50, 0.51, 0.52), ": worse."),
        ((0.40, 0.50, 0.60), (0.39, 0.51, 0.57), ": undecided."),
        ((0.90,), (0.10, 0.11, 0.12), "undecided (one seed)"),
        ((0.90, 0.91), (0.10,), "undecided (one seed)"),
        ((0.20, 0.20), (0.10, 0.10), "the same in every run on each side"),
        ((0.50,), (), "squeezenet/plain is not recorded yet"),
    ],
)
def test_verdict_follows_the_stated_rule(publish, first, second, verdict):
    publish("squeezenet/bn", *first)
    publish("squeezenet/plain", *second)
    said = records.compare("squeezenet/bn", experiments.get("squeezenet/plain"))
    assert said.startswith("squeezenet/bn against squeezenet/plain: ")
    assert verdict in said and "\n" not in said


def test_interval_is_welchs(publish):
    """By hand: means 50 and 31, deviations 2 and 1, n = 3; s.e. 1.2910, 2.9412 d.f., t 3.2188."""
    publish("squeezenet/bn", 0.48, 0.50, 0.52)
    publish("squeezenet/plain", 0.30, 0.31, 0.32)
    said = records.compare("squeezenet/bn", "squeezenet/plain")
    low, high = 19 - 3.2188 * 1.2910, 19 + 3.2188 * 1.2910
    assert f"95 % interval {low:+.2f} to {high:+.2f}: better" in said


def test_runs_of_different_profiles_are_not_compared(publish):
    publish("squeezenet/bn", 0.5, 0.6, profile="full")
    publish("squeezenet/plain", 0.1, 0.1)
    said = records.compare("squeezenet/bn", "squeezenet/plain")
    assert "different profiles" in said and "better" not in said
