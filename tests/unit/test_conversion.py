"""The measured conversion: what the tool writes, and that what is committed was written by it."""

import json
import sys

import conversion
import pytest

from course_lib.datasets import synthetic_tiny, tiny_imagenet, tiny_imagenet_source


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the tool writes about the drawn pictures, in one round."""
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "runs"))
    synthetic_tiny.draw(tmp_path / "data" / tiny_imagenet_source.FOLDER)
    monkeypatch.setattr(conversion, "FILE", tmp_path / "conversion.json")
    prepare, test = tiny_imagenet.prepare, synthetic_tiny.TEST
    monkeypatch.setattr(tiny_imagenet, "TEST_PER_CLASS", test)
    monkeypatch.setattr(tiny_imagenet, "prepare", lambda data: prepare(data, test))
    monkeypatch.setattr(sys, "argv", ["conversion", "--rounds", "1"])
    assert conversion.main() == 0
    return json.loads(conversion.FILE.read_text())


def shape(result) -> dict:
    """The keys of the file, its rounds and its ways."""
    rows = [*result["whole"], *(way for ways in result["sample"] for way in ways.values())]
    return {
        "keys": sorted(result),
        "rows": sorted({tuple(sorted(row)) for row in rows}),
        "ways": sorted({tuple(ways) for ways in result["sample"]}),
    }


def test_what_is_committed_is_what_the_tool_writes(written):
    committed = json.loads((conversion.settings.ROOT / "data" / "conversion.json").read_text())
    assert shape(committed) == shape(written)
    assert committed["images"] == {"train": 90_000, "val": 10_000, "test": 10_000}
    assert len(committed["whole"]) == len(committed["sample"]) == 3
    assert "dirty" not in committed["commit"], "measured on code that is not committed"


def test_float64_takes_eight_times_the_bytes(written):
    (ways,) = written["sample"]
    assert ways["one process, uint8"]["bytes"] >= written["sample images"] * 64 * 64 * 3
    wide = ways["one process, float64"]["bytes"] - ways["one process, uint8"]["bytes"]
    assert wide == 7 * written["sample images"] * 64 * 64 * 3
