import json
import math
from copy import deepcopy
from dataclasses import replace

import pytest

from course_lib import counting, experiments, settings
from course_lib.settings import CourseError

CHILDREN = [id for id in experiments.ids() if experiments.get(id).parent]


# What a declared change may do to a layer graph: undone in the child, nothing may be left.


def without_batch_normalisation(nodes):
    """The graph with every BN taken out that stands between a convolution and its ReLU."""
    readers = {}
    for name, node in nodes.items():
        for source in node.inputs:
            readers.setdefault(source, []).append(name)
    inside = {
        name: node.inputs[0]
        for name, node in nodes.items()
        if node.kind == "BatchNormalization"
        and nodes[node.inputs[0]].kind == "Conv2D"
        and [nodes[r].kind for r in readers[name]] == ["ReLU"]
    }
    return {
        name: node._replace(inputs=[inside.get(s, s) for s in node.inputs])
        for name, node in nodes.items()
        if name not in inside
    }


def without(key):
    """A rule: forget that entry of every convolution's configuration."""

    def rule(nodes):
        nodes = deepcopy(nodes)
        for node in nodes.values():
            if node.kind == "Conv2D":
                del node.config[key]
        return nodes

    return rule


def without_last_relu(nodes):
    """The graph without the ReLU after conv10, and without its having been there."""
    before = {"conv10_relu": "conv10"}
    return {
        name: node._replace(inputs=[before.get(s, s) for s in node.inputs])
        for name, node in nodes.items()
        if name not in before
    }


RULES = {
    "head_relu": without_last_relu,
    "initializer": without("kernel_initializer"),
    "l2": without("kernel_regularizer"),
    "bn": without_batch_normalisation,
}


def undeclared(child, parent, child_graph, parent_graph) -> list[str]:
    """All in which a child differs from its parent without having declared it."""
    ours, theirs = child.configuration(), parent.configuration()
    for config in (ours, theirs):
        config |= config.pop("arguments")
    differs = {k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)}
    faults = sorted(differs - set(child.changes))
    for change in set(child.changes) & set(RULES):
        child_graph, parent_graph = RULES[change](child_graph), RULES[change](parent_graph)
    names = {**child_graph, **parent_graph}
    return faults + [n for n in names if child_graph.get(n) != parent_graph.get(n)]


@pytest.mark.parametrize("id", CHILDREN)
def test_child_differs_from_its_parent_in_declared_changes_only(id, built, graph):
    child = experiments.get(id)
    parent = experiments.get(child.parent)
    graphs = [graph(built(e.id)) for e in (child, parent)]
    assert undeclared(child, parent, *graphs) == []
    arguments = set(child.arguments) & set(child.changes)
    assert arguments <= set(RULES), "a new kind of change needs a rule above"
    for change in child.changes:
        assert child.arguments.get(change) != parent.arguments.get(change) or (
            getattr(child, change, None) != getattr(parent, change, None)
        ), f"{change} is declared but changes nothing"
    for change in arguments:
        rest = replace(child, changes=tuple(c for c in child.changes if c != change))
        assert undeclared(rest, parent, *graphs), f"{change} does not reach the network"


@pytest.mark.parametrize(
    "changed",
    [
        {"batch": 128},
        {"mean": (0.0, 0.0, 0.0)},
        {"optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": False}},
        {"augmentation": {"shift": 0.25, "flip": True, "fill": "constant"}},
        {"arguments": {"initializer": "he_normal", "l2": 1e-4, "bn": True, "classes": 9}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_comparison_sees_what_was_not_declared(changed, graph):
    parent = experiments.get("squeezenet/he-l2")
    child = replace(experiments.get("squeezenet/bn"), **changed)
    assert undeclared(child, parent, graph(child.build()), graph(parent.build()))


def test_declared_changes_of_the_first_part():
    assert {id: (experiments.get(id).parent, experiments.get(id).changes) for id in CHILDREN} == {
        "squeezenet/he-l2": ("squeezenet/plain", ("initializer", "l2")),
        "squeezenet/bn": ("squeezenet/he-l2", ("bn",)),
        "squeezenet/he": ("squeezenet/plain", ("initializer",)),
        "squeezenet/l2": ("squeezenet/plain", ("l2",)),
        "squeezenet/glorot-bn": ("squeezenet/plain", ("bn",)),
        "squeezenet/plain-linear-head": ("squeezenet/plain", ("head_relu",)),
        "squeezenet/he-linear-head": ("squeezenet/he", ("head_relu",)),
    }


SMALL = (729_144, 729_144, 0)
NORMED = (741_088, 735_116, 5_972)
COUNTS = {
    "squeezenet/plain": SMALL,
    "squeezenet/he-l2": SMALL,
    "squeezenet/bn": NORMED,
    "squeezenet/he": SMALL,
    "squeezenet/l2": SMALL,
    "squeezenet/glorot-bn": NORMED,
    "squeezenet/plain-linear-head": SMALL,
    "squeezenet/he-linear-head": SMALL,
}


@pytest.mark.parametrize("id", experiments.ids())
def test_declared_counts_are_those_of_the_source_and_of_the_built_network(id, built):
    experiment = experiments.get(id)
    assert experiment.parameters == counting.Parameters(*COUNTS[id])
    assert counting.parameters(built(id)) == experiment.parameters
    assert built(id).count_params() == experiment.parameters.total  # Keras' own count
    assert counting.macs(built(id)) == experiment.macs
    assert round(experiment.macs / 1e6, 1) == 13.1


@pytest.mark.parametrize("id", [id for id in experiments.ids() if id.startswith("squeezenet/")])
def test_protocol_is_that_of_s1(id):
    e = experiments.get(id)
    assert e.dataset == "cifar10"
    assert e.mean == (125.307, 122.95, 113.865)
    assert e.deviation == (62.9932, 62.0887, 66.7048)
    assert 32 * e.augmentation["shift"] == 4 and e.augmentation["flip"] is True
    assert e.augmentation["fill"] == "constant", "empty pixels are 0 after standardising"
    assert e.optimizer == {"name": "SGD", "momentum": 0.9, "nesterov": True}
    assert [e.schedule(k) for k in (0, 99, 100, 199, 200, 299)] == [
        0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001
    ]  # fmt: skip
    assert (e.batch, e.epochs, math.ceil(50_000 / e.batch)) == (64, 300, 782)


@pytest.mark.parametrize(
    "id, accuracy",
    [("squeezenet/plain", 10), ("squeezenet/he-l2", 85), ("squeezenet/bn", 86)],
)
def test_reported_results_carry_their_source_and_controls_have_none(id, accuracy):
    reported = experiments.get(id).reported
    assert reported.accuracy == accuracy and f"{accuracy} %" in reported.text
    assert reported.source.startswith("S1")
    for control in ("he", "l2", "glorot-bn"):
        control = experiments.get(f"squeezenet/{control}")
        assert control.reported is None and "control" in control.note


def test_every_experiment_is_whole():
    everyone = [experiments.get(id) for id in experiments.ids()]
    assert len({e.question for e in everyone}) == len(everyone)
    for e in everyone:
        assert e.question.endswith("?")
        assert e.parent is None or e.parent in experiments.ids()
        assert json.loads(json.dumps(e.configuration())) == e.configuration()


def test_hash_follows_what_decides_the_result_and_nothing_else():
    plain = experiments.get("squeezenet/plain")
    hashes = [experiments.get(id).hash() for id in experiments.ids()]
    assert len(set(hashes)) == len(hashes)
    assert replace(plain, question="?", note="new", reported=None).hash() == plain.hash()
    assert replace(plain, batch=65).hash() != plain.hash()


@pytest.mark.parametrize(
    "wrong, near",
    [
        ("squeezenet/BN", "squeezenet/bn"),
        ("squeeznet/plain", "squeezenet/plain"),
        ("squeezenet/glorot_bn", "squeezenet/glorot-bn"),
        ("squeezenet/he-l3", "squeezenet/he-l2"),
        ("glorot-bn", "squeezenet/glorot-bn"),
        ("he", "squeezenet/he"),
        ("l2", "squeezenet/l2"),
        ("BN", "squeezenet/bn"),
        ("resnet/bn", "squeezenet/bn"),
    ],
)
def test_wrong_id_names_the_nearest_first(wrong, near):
    with pytest.raises(CourseError) as error:
        experiments.get(wrong)
    message = str(error.value)
    assert repr(wrong) in message and "\n" not in message
    assert message.split("did you mean ")[1].rstrip("?").split(" or ")[0] == near


def test_diff_says_in_words_what_changed():
    assert experiments.get("squeezenet/bn").diff() == (
        "squeezenet/bn against squeezenet/he-l2\n"
        "  batch normalisation after each convolution: no → yes"
    )
    lines = experiments.get("squeezenet/he-l2").diff().splitlines()
    assert lines[1:] == [
        "  initialiser of the convolutions: glorot uniform → he normal",
        "  L2 weight decay on the convolutions: none → 0.0001",
    ]
    assert "no parent" in experiments.get("squeezenet/plain").diff()
    assert "the same network" in experiments.get("squeezenet/bn").diff("squeezenet/bn")
    assert experiments.get("squeezenet/l2").diff("squeezenet/plain").count("\n") == 1


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
    assert {p.data for p in settings.PROFILES.values()} - {None} <= set(datasets.NAMES)
