"""The library's page offers what the rooms offer, read from their sources alone."""

import inspect
import re

import pytest
import sphinx_api

from course_lib import figures, measure, records, settings
from course_lib.explorers.kit import Explorer

PAGE = (settings.ROOT / "book" / "api.md").read_text(encoding="utf-8")


def offered(room: str) -> dict:
    return {d.name: d for _, file in sphinx_api.modules(room) for d in sphinx_api.offered(file)}


@pytest.mark.parametrize("room", [figures, measure, records])
def test_every_public_name_of_a_room_is_there_with_its_own_words(room):
    found = offered(room.__name__.partition(".")[2])
    described = {
        name for name in room.__all__ if name not in {n for n in room.__all__ if n.isupper()}
    }
    assert set(found) == described
    for name, definition in found.items():
        assert sphinx_api.ast.get_docstring(definition) == inspect.getdoc(getattr(room, name))


def test_a_new_explorer_and_a_new_family_are_there_by_themselves():
    kinds = {kind.__name__ for kind in [Explorer, *Explorer.__subclasses__()]}
    assert {"Prediction"} < kinds == set(offered("explorers"))
    assert {"fire", "densenet", "resnet_v1", "small_cnn"} < set(offered("models.*"))


def test_the_page_asks_for_every_room_of_a_reader():
    asked = set(re.findall(r"[\w.]+", " ".join(re.findall(r"\{course-api\} (.*)", PAGE))))
    rooms = {"experiments", "schedules", "datasets", "measure", "records", "figures", "explorers"}
    assert rooms | {"models.", "settings"} <= asked


def test_shapes_and_defaults_survive():
    layers = offered("figures")["layers"]
    assert sphinx_api.signature(layers).startswith(
        "(series: dict, names, *, label, alt, caption=''"
    )
    shape = sphinx_api.described("Sum.\n\nx: (batch, h, w) in `x_1`. Returns (batch, 2 * h).")
    assert [p.astext() for p in shape] == [
        "Sum.",
        "x: (batch, h, w) in x_1.",
        "Returns (batch, 2 * h).",
    ]
    assert shape[1]["classes"] == ["argument"]
