"""`make test-lowest` runs this, and then the core of the unit tests, in an environment of the
lowest versions that pyproject.toml allows."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_versions_tried_are_the_bounds():
    """A bound that no resolver can take is not tried, and so not known to be true."""
    requirements = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    bounds = dict(re.fullmatch(r"([\w-]+)>=([\w.]+)", r).groups() for r in requirements)
    assert {name: version(name) for name in bounds} == bounds
