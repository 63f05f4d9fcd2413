import tomllib

import address
import pytest

ROOT = address.ROOT
TEXT = {".md", ".py", ".js", ".yml", ".toml", ".cff", ".ipynb", ".json", ".bib", ""}
FOLDERS = (".ci", ".github", "assignments", "book", "course_lib", "data", "tests", "tools")


def texts():
    """Every text file of the repository, local data and bundled scripts left out."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        files += (ROOT / folder).rglob("*")
    left_out = {ROOT / "data" / "cache", ROOT / "data" / "runs", ROOT / "book/_static/vendor"}
    for path in files:
        if path.is_file() and path.suffix in TEXT and left_out.isdisjoint(path.parents):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", address.CARRIERS)
def test_no_file_names_another_address_than_pyproject(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert address.carried(text, address.repository()) == text


def test_the_address_stands_where_it_is_carried_and_nowhere_else():
    slug = address.slug(address.repository())
    found = {name for name, text in texts() if slug in text}
    chapters = {name for name in found if name.startswith("book/") and name.endswith(".ipynb")}
    assert {"_config.yml", "README.md", "CITATION.cff"} <= found
    assert found - chapters <= {"pyproject.toml", *address.CARRIERS}


@pytest.mark.parametrize("name", address.CARRIERS)
def test_a_new_address_leaves_no_trace_of_the_old_one(name):
    old, new = address.repository(), "https://github.com/Someone/a-course"
    text = (ROOT / name).read_text(encoding="utf-8")
    moved = address.carried(text, new)
    for of in (address.slug, address.site):
        assert of(old) not in moved
        assert moved.count(of(new)) == text.count(of(old))


def test_the_addresses_that_follow_from_it():
    new = "https://github.com/Someone/a-course"
    text = (
        "https://github.com/x/y.git https://github.com/x/y/issues "
        "https://colab.research.google.com/github/x/y/blob/main/a.ipynb https://x.github.io/y/"
    )
    assert address.carried(text, new) == (
        f"{new}.git {new}/issues "
        "https://colab.research.google.com/github/Someone/a-course/blob/main/a.ipynb "
        "https://someone.github.io/a-course/"
    )


def test_the_citation_names_the_version_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation
