"""What the pages load lies in book/_static, unchanged, and fits the installed packages."""

import importlib.metadata
import shutil
from pathlib import Path

import artwork
import pytest

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


def test_vendored_files_are_as_in_the_manifest(vendor):
    assert vendor.check() == []


def test_check_sees_a_changed_a_missing_and_a_foreign_file(vendor, tmp_path):
    copy = tmp_path / "vendor"
    shutil.copytree(vendor.VENDOR, copy)
    with open(copy / "widgets" / "require.js", "a") as file:
        file.write(" ")
    (copy / "widgets" / "anywidget.js").unlink()
    (copy / "extra.js").write_text("")
    wrong = vendor.check(copy)
    assert [line.split()[0] for line in wrong] == [
        "widgets/require.js",
        "widgets/anywidget.js",
        "extra.js",
    ]


def test_an_archive_of_another_hash_is_refused(vendor):
    with pytest.raises(SystemExit, match="SHA-256"):
        vendor.members(vendor.ARCHIVES[0], b"something else")


def test_no_script_points_to_a_source_map(vendor):
    for path in vendor.VENDOR.rglob("*.js"):
        lines = path.read_bytes().splitlines()
        assert not [line for line in lines if line.startswith(b"//# sourceMappingURL")], path


def test_anywidget_in_the_pages_is_the_installed_one(vendor):
    wheel = importlib.metadata.distribution("anywidget")
    installed = Path(wheel.locate_file("anywidget/nbextension/index.js")).read_bytes()
    ours = (vendor.VENDOR / "widgets" / "anywidget.js").read_bytes()
    assert ours == vendor.trimmed("anywidget.js", installed), "run python tools/vendor.py"


def test_logo_is_what_the_code_draws(tmp_path):
    artwork.save(artwork.logo(), tmp_path / "logo.svg")
    drawn = (tmp_path / "logo.svg").read_text()
    assert (STATIC / "logo.svg").read_text() == drawn, "save artwork.logo() to book/_static"
