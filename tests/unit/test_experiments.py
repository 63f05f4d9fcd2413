"""The experiments as data: what the articles state (tests/articles.toml), what a variant declares.

A further experiment of ours needs no line here: what holds for all of them is asked of all.
"""

import json
import re
import tomllib
from dataclasses import replace

import pytest

from course_lib import experiments, settings
from course_lib.engine import feeding
from course_lib.experiments import runs
from course_lib.measure import counting
from course_lib.schedules import Steps
from course_lib.settings import CourseError

ALL = experiments.ids()
CHILDREN = [id for id in ALL if experiments.get(id).parent]
ARTICLES = tomllib.loads((settings.ROOT / "tests" / "articles.toml").read_text(encoding="utf-8"))
STATED = ARTICLES["networks"]


# --- what the articles state ----------------------------------------------------------------------


def protocol(id) -> dict:
    """What the articles state of a run, as plain JSON values."""
    family = re.match("[a-z]+", id)[0]
    return ARTICLES["protocols"][family] | STATED[id].get("protocol", {})


@pytest.mark.parametrize("id", STATED)
def test_protocol_is_that_of_the_article_and_nothing_else_applies(id):
    e, wanted = experiments.get(id), protocol(id)
    found = {k: v for k, v in e.configuration().items() if k not in ("builder", "arguments")}
    found |= {"keep_every": e.keep_every} if e.keep_every else {}
    del found["schedule"]
    assert found == {k: v for k, v in wanted.items() if k not in ("where", "rates", "steps")}
    rates = [e.schedule(epoch) for epoch in range(e.epochs)]
    assert [[epoch, rates[epoch]] for epoch, _ in wanted["rates"]] == [
        [epoch, pytest.approx(rate)] for epoch, rate in wanted["rates"]
    ]
    assert sorted(rates, reverse=True) == rates
    if isinstance(e.schedule, Steps):
        assert set(rates) == {rate for _, rate in wanted["rates"]}, "no other rate in between"
    images = {"cifar10": 50_000, "tiny-imagenet": 90_000}[e.dataset] - e.validation
    assert feeding.steps_per_epoch(images, e) == wanted["steps"]


@pytest.mark.parametrize("id", STATED)
def test_network_has_the_arguments_and_counts_of_the_article(id):
    e, stated = experiments.get(id), STATED[id]
    assert e.configuration()["arguments"].items() >= stated["arguments"].items()
    counts = (e.parameters.total, e.parameters.trainable)
    wanted = tuple(stated.get("parameters", ()))
    assert counts[: len(wanted)] == wanted
    assert round(e.macs / 1e6, 1) == stated.get("mmac", round(e.macs / 1e6, 1))


@pytest.mark.parametrize("id", ALL)
def test_reported_results_are_those_of_the_article_and_all_else_has_none(id):
    reported, stated = experiments.get(id).reported, STATED.get(id, {})
    if "reported" not in stated:
        assert reported is None, "a child does not inherit its parent's result"
        return
    assert stated["reported"] in reported.text and reported.accuracy == stated.get("accuracy")
    number, title = reported.source.split(", ", 1)
    assert stated["where"].startswith(number) and title in ARTICLES["sources"][number]


def test_design_space_is_that_of_the_paper():
    design = [experiments.get(id) for id in ALL if re.search("/(ratio|share)-", id)]
    points = [[e.arguments["squeeze_ratio"], e.arguments["share"]] for e in design]
    assert all(point in points for point in ARTICLES["design-space"]["points"])


# --- what a variant declares ----------------------------------------------------------------------


def different_settings(child, parent) -> set[str]:
    ours, theirs = child.configuration(), parent.configuration()
    for config in (ours, theirs):
        config |= config.pop("arguments")
    return {k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)}


@pytest.mark.parametrize("id", CHILDREN)
def test_settings_differ_from_the_parents_where_declared_and_nowhere_else(id):
    child = experiments.get(id)
    assert different_settings(child, experiments.get(child.parent)) == set(child.changes)


# --- counts and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["resnet-v1", "resnet-v2"])
def test_each_further_block_of_a_resnet_costs_the_same(version):
    """So that the row of 1001 layers, which S4 leaves open, follows from the others."""
    family = [e for e in map(experiments.get, ALL) if re.fullmatch(rf"{version}/\d+", e.id)]
    rows = [
        (e.arguments["depth"], e.parameters.total, e.parameters.trainable, e.macs) for e in family
    ]
    (d0, *first), (d1, *second), *others = sorted(rows)
    for depth, *counts in others:
        pairs = zip(first, second, strict=True)
        assert counts == [a + (b - a) * (depth - d0) // (d1 - d0) for a, b in pairs]


def test_keras_takes_every_optimizer_and_callback():
    """Names and arguments that exist: a wrong one would show only when a long run begins."""
    from course_lib.backend import keras

    for e in map(experiments.get, ALL):
        options = dict(e.optimizer)
        getattr(keras.optimizers, options.pop("name"))(e.schedule(0), **options)
        for options in map(dict, e.callbacks):
            getattr(keras.callbacks, options.pop("name"))(**options)


# --- as a whole -----------------------------------------------------------------------------------


def test_every_experiment_is_whole():
    everyone = [experiments.get(id) for id in ALL]
    assert len({e.question for e in everyone}) == len(everyone)
    for e in everyone:
        assert e.question.endswith("?")
        assert json.loads(json.dumps(e.configuration())) == e.configuration()


def test_digest_follows_what_decides_the_result_and_nothing_else():
    def digest(experiment):
        return runs.digest(experiment.configuration())

    plain = experiments.get("squeezenet/plain")
    assert len({digest(experiments.get(id)) for id in ALL}) == len(ALL)
    assert digest(replace(plain, question="?", note="new", reported=None)) == digest(plain)
    assert digest(replace(plain, batch=65)) != digest(plain)


# --- a tenth --------------------------------------------------------------------------------------


# A miniature has a protocol of its own for `quick`; a tenth of its few epochs is no experiment.
@pytest.mark.parametrize("id", [id for id in ALL if not experiments.get(id).quick])
def test_a_tenth_divides_every_number_of_epochs_and_nothing_else(id):
    e, tenth = experiments.get(id), experiments.get(id).divided(10)
    assert tenth.epochs == int(e.epochs / 10 + 0.5) >= 1
    rates = [tenth.schedule(epoch) for epoch in range(tenth.epochs)]
    if isinstance(e.schedule, Steps):
        starts = [start for start, _ in tenth.schedule.rates]
        assert starts[0] == 0 and sorted(set(starts)) == starts and starts[-1] < tenth.epochs
        assert sorted(set(rates)) == sorted(rate for _, rate in e.schedule.rates), "none is lost"
        assert tenth.schedule.late == 0
    else:
        assert tenth.schedule.epochs == tenth.epochs, "the decay ends with the run"
        assert rates == sorted(rates, reverse=True) and rates[-1] > 0
    assert [c["patience"] for c in tenth.callbacks if "patience" in c] == [
        max(1, int(c["patience"] / 10 + 0.5)) for c in e.callbacks if "patience" in c
    ]
    assert bool(tenth.keep_every) == bool(e.keep_every)
    divided = ("epochs", "schedule", "callbacks", "keep_every")
    assert replace(tenth, **{name: getattr(e, name) for name in divided}) == e


# id -> epochs, then epoch: rate at and before every drop.
TENTHS = {
    "squeezenet/bn": (30, {9: 1e-2, 10: 1e-3, 19: 1e-3, 20: 1e-4}),
    "resnet-v1/20": (20, {7: 1e-3, 8: 1e-4, 12: 1e-5, 16: 1e-6, 17: 1e-6, 18: 5e-7}),
    "minigooglenet/lr-1e-2": (7, {0: 1e-2, 1: 1e-2 * 6 / 7, 6: 1e-2 / 7}),
    "densenet/growth-32": (20, {0: 1e-3, 19: 1e-3}),
    "deepergooglenet/shallow-sgd": (7, {2: 1e-2, 3: 1e-3, 4: 1e-4}),
    "deepergooglenet/deep-adam": (7, {3: 1e-3, 4: 1e-4, 5: 1e-4, 6: 1e-5}),
}


@pytest.mark.parametrize("id", TENTHS)
def test_a_tenth_by_hand(id):
    epochs, rates = TENTHS[id]
    tenth = experiments.get(id).divided(10)
    assert tenth.epochs == epochs
    assert {epoch: tenth.schedule(epoch) for epoch in rates} == pytest.approx(rates)


def test_nothing_is_divided_by_1():
    e = experiments.get("resnet-v1/20")
    assert e.divided(1) is e, "its schedule keeps its lateness"


# --- ids and differences --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, near",
    [
        ("squeezenet/BN", "squeezenet/bn"),
        ("squeeznet/plain", "squeezenet/plain"),
        ("glorot-bn", "squeezenet/glorot-bn"),
        ("resnet/bn", "squeezenet/bn"),
    ],
)
def test_wrong_id_names_the_nearest_first(wrong, near):
    with pytest.raises(CourseError) as error:
        experiments.get(wrong)
    message = str(error.value)
    assert repr(wrong) in message and "\n" not in message
    assert message.split("did you mean ")[1].rstrip("?").split(" or ")[0] == near


@pytest.mark.parametrize(
    "id, against, lines",
    [
        ("squeezenet/bn", None, ["batch normalisation after each convolution: no → yes"]),
        (
            "squeezenet/plain",
            "squeezenet/l2",
            ["L2 weight decay on the convolutions: 0.0001 → none"],
        ),
        ("squeezenet/no-conv10", None, ["conv10: yes → no"]),
        ("resnet-v1/20", "resnet-v1/plain-20", ["shortcuts: no → yes"]),
        ("resnet-v1/20-on-time", None, ["epochs by which every drop comes late: 1 → none"]),
        ("densenet/miniature", None, ["blocks: [4, 8, 16] → [2, 4, 8]", "growth: 32 → 12"]),
    ],
)
def test_diff_says_in_words_what_changed(id, against, lines):
    first, *found = experiments.get(id).diff(against).splitlines()
    assert first == f"{id} against {against or experiments.get(id).parent}"
    assert found == [f"  {line}" for line in lines]


@pytest.mark.parametrize("id", CHILDREN)
def test_diff_has_words_for_every_change(id):
    for line in experiments.get(id).diff().splitlines()[1:]:
        name, _, change = line.strip().partition(": ")
        before, _, after = change.partition(" → ")
        assert before and after and before != after
        assert not re.search("_|arguments|None|True|False", line)


def test_diff_of_two_families_leaves_out_what_has_no_counterpart():
    said = experiments.get("resnet-v1/20").diff("squeezenet/bn")
    assert "builder: squeezenet.squeezenet → resnet.resnet v1" in said
    assert "batch: 64 → 32" in said and "optimizer, name: SGD → Adam" in said
    # What a ResNet is not told has no counterpart, and what bears one name need not be one thing.
    assert not re.search("normalisation|initialiser|decay|depth|width|first stage", said)


def test_diff_without_a_parent_or_a_difference_is_a_sentence():
    assert "no parent" in experiments.get("squeezenet/plain").diff()
    assert "the same network" in experiments.get("squeezenet/bn").diff("squeezenet/bn")


# --- the TOML files -------------------------------------------------------------------------------

WHOLE = """
source = "S9, a paper"

["mine/first"]
question = "Is it read?"
builder = "squeezenet.squeezenet"
arguments = {bn = true, pools = [[1, 2], [4, 2]]}
parameters = [3, 2, 1]
macs = 5
dataset = "cifar10"
mean = [1.0, 2.0, 3.0]
deviation = [1.0, 1.0, 1.0]
augmentation = {}
optimizer = {name = "SGD"}
schedule = {rates = [[0, 0.1]]}
batch = 64
epochs = 3
reported = {text = "50 %", accuracy = 50.0}
note = "A note."
quick = {epochs = 2}

["mine/second"]
parent = "mine/first"
question = "Is it a variant?"
arguments = {dropout = 0.5}
"""


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The experiments of a TOML file with that text, the only one there is."""

    def of(text):
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(experiments, "__file__", str(tmp_path / "__init__.py"))
        monkeypatch.setattr(experiments, "FAMILIES", ("mine",))
        return experiments._read()

    return of


def test_a_variant_takes_all_but_words_from_its_parent(read):
    first, second = read(WHOLE).values()
    assert first.reported == experiments.Reported("50 %", "S9, a paper", 50.0)
    assert first.arguments["pools"] == ((1, 2), (4, 2)), "arrays are tuples, at any depth"
    assert first.parameters == counting.Parameters(3, 2, 1)
    assert second.arguments == {**first.arguments, "dropout": 0.5}
    assert (second.parent, second.changes) == ("mine/first", ("dropout",))
    assert (second.reported, second.note, second.quick) == (None, "", None)
    assert (second.parameters, second.epochs) == (first.parameters, 3)


@pytest.mark.parametrize(
    "old, new, id, says",
    [
        ('parent = "mine/first"', 'parent = "mine/fist"', "mine/second", "mine/first"),
        ('parent = "mine/first"', 'parent = "mine/second"', "mine/second", "mine/first"),
        ("arguments = {dropout", "argument = {dropout", "mine/second", "argument"),
        ("batch = 64", "bach = 64", "mine/first", "bach"),
        ("batch = 64", "", "mine/first", "batch"),
        ("rates", "rate", "mine/first", "schedule"),
        ("[3, 2, 1]", "[3, 2]", "mine/first", "parameters"),
        ("batch = 64", 'batch = "64"', "mine/first", "batch"),
        ("[[0, 0.1]]", "[[0, true]]", "mine/first", "schedule.rates[0][1]"),
        ("accuracy = 50.0", "acuracy = 50.0", "mine/first", "acuracy"),
    ],
    ids=["unknown parent", "its own parent", "unknown key of a variant", "unknown key", "no batch",
         "wrong schedule", "a count too few", "a number in quotes",
         "no rate", "unknown key below"],
)  # fmt: skip
def test_a_wrong_entry_is_one_line_that_names_it(read, old, new, id, says):
    assert old in WHOLE
    with pytest.raises(CourseError) as error:
        read(WHOLE.replace(old, new))
    message = str(error.value)
    assert message.startswith(f"mine.toml, {id}: ") and says in message and "\n" not in message


# --- networks and data ----------------------------------------------------------------------------


def test_building_from_a_seed_draws_the_same_weights_again():
    experiment = experiments.get("squeezenet/he")
    first, again, other = (
        [w.numpy() for w in experiment.build(seed=seed).trainable_weights] for seed in (3, 3, 4)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_experiments_name_data_sets_that_the_course_has():
    from course_lib import datasets

    assert {experiments.get(id).dataset for id in experiments.ids()} <= set(datasets.NAMES)
    stand_in = [p.data or {} for p in settings.PROFILES.values()]
    assert {name for d in stand_in for pair in d.items() for name in pair} <= set(datasets.NAMES)
    assert {experiments.get(id).dataset for id in ALL} == set(settings.PROFILES["ci"].data)
