"""Every network of the course, built once for all: counted, recorded and drawn.

A further experiment needs no line here.
"""

import json
import re

import pytest

from course_lib import experiments, records, settings
from course_lib.figures import diagrams, palette
from course_lib.measure import counting
from course_lib.models import graph
from tests.unit.test_diagrams import right_on_a_page

NETWORKS = {}  # those that several experiments train stand here once
for id in experiments.ids():
    e = experiments.get(id)
    NETWORKS.setdefault(json.dumps([e.builder, e.arguments]), []).append(e)
del NETWORKS[json.dumps([(e := experiments.get("resnet-v2/1001")).builder, e.arguments])]  # minutes


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=lambda several: several[0].id)
def network(request):
    """The model, and the experiments that train it."""
    return request.param[0].build(precision="mixed_bfloat16"), request.param  # as `graph.of` does


def test_it_is_the_network_that_is_counted_and_that_was_recorded(network):
    model, several = network
    digest = graph.digest(graph.normal_form(model))
    for e in several:
        assert counting.parameters(model) == e.parameters
        assert model.count_params() == e.parameters.total  # Keras' own count
        assert counting.macs(model) == e.macs
        files = (settings.RECORDS_DIR / e.id).glob("*.json")
        assert {records.read(file)["network"] for file in files} <= {digest}


def test_it_is_drawn_and_told(network):
    model, _ = network
    found = diagrams.stages(model)
    figure = diagrams.network(model)
    right_on_a_page(figure)
    # Every layer stands in one stage, and every stage in the words.
    assert sum(len(stage.layers) for stage in found) == len(model.layers)
    said = figure.alt
    for stage in found:
        whole = re.match(r"(.*?)(\d+[a-z]?)?$", stage.name)[1]
        assert whole in said and "×".join(map(str, stage.shape[:-1])) in said
        assert stage.note in said
    drawn = said.count("; ") + 1
    assert drawn <= 20, "what repeats is summed up"
    kinds = {kind for stage in found for kind, _ in stage.shares}
    assert kinds <= {*palette.KINDS, "input", "dense", "kept"}, "no box is unexplained"
    assert ("bypass" in said) == any(type(x).__name__ == "Add" for x in model.layers)
