"""The flow of the library: nothing earlier imports anything later, and files stay short."""

import ast
import contextlib
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import course_lib

PACKAGE = Path(course_lib.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Earlier stages first. A module may import from earlier stages and from its own.
FLOW = [
    ["settings", "files", "processor"],
    ["schedules"],
    ["experiments"],
    ["backend"],
    ["datasets", "models"],
    ["records"],
    ["engine"],
    ["measure"],
    ["figures", "explorers"],
    ["__main__"],
]
STAGE = {module: number for number, modules in enumerate(FLOW) for module in modules}


def module_of(file: Path) -> str:
    """course_lib/datasets/cifar10.py belongs to datasets."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    """The modules of course_lib that a file imports, at its head or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the flow: write course_lib.…"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        found |= {part[1] for part in parts if part[0] == "course_lib" and len(part) > 1}
    return found


def wrong_way(module: str, source: str) -> set[str]:
    return {other for other in imports(source) if STAGE[other] > STAGE[module]}


def test_every_module_has_its_place_in_the_flow():
    modules = {module_of(file) for file in FILES} - {"__init__"}
    assert modules <= STAGE.keys(), "give the new module a stage in FLOW"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_imports_what_comes_later(file):
    source = file.read_text(encoding="utf-8")
    if file == PACKAGE / "__init__.py":
        assert not imports(source), "import course_lib stays cheap"
    else:
        assert not wrong_way(module_of(file), source)


def test_an_installed_course_has_all_files():
    """What pyproject.toml packs, against what there is: a checkout hides a file left out."""
    options = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    options = options["tool"]["setuptools"]
    folders = {file.parent.relative_to(PACKAGE.parent) for file in FILES}
    assert sorted(options["packages"]) == sorted(".".join(folder.parts) for folder in folders)
    others = [f for f in PACKAGE.rglob("*") if f.is_file() and f.suffix not in (".py", ".pyc")]
    for file in others:
        package = ".".join(file.parent.relative_to(PACKAGE.parent).parts)
        assert any(file.match(p) for p in options["package-data"].get(package, [])), file


# Declared and not imported: anywidget imports it, and its versions before 7.7 do not start.
NOT_IMPORTED = {"ipywidgets"}


KNOWN = packages_distributions()  # without PyTorch, unless it is installed


def foreign(source: str) -> set[str]:
    """The packages of others that a file imports, by the names under which they are installed."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    modules = {name.partition(".")[0] for name in names}
    modules -= {"course_lib", *sys.stdlib_module_names}
    return {KNOWN.get(module, [module])[0].lower() for module in modules}


def test_what_is_imported_is_declared_and_the_reverse():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project = project["project"]
    needed, *extras = (
        {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}
        for requirements in (project["dependencies"], *project["optional-dependencies"].values())
    )
    imported = set().union(*(foreign(file.read_text(encoding="utf-8")) for file in FILES))
    assert imported - set().union(*extras) == needed - NOT_IMPORTED


def test_the_repository_and_the_version_are_those_of_pyproject_everywhere():
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = project["urls"]["Repository"].removeprefix("https://github.com/")
    named = re.search("NAMED_IN := (.*)", (root / "Makefile").read_text(encoding="utf-8"))[1]
    for name in named.split():
        text = (root / name).read_text(encoding="utf-8")
        found = re.findall(r"(?:github|google)\.com/(?:github/)?([\w-]+/[\w-]+)", text)
        assert set(found) == {ours}, f"{name}: run make format"
    assert f"\nversion: {project['version']}\n" in (root / "CITATION.cff").read_text()


def test_every_file_of_the_library_stays_short():
    lengths = {str(f): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {name: count for name, count in lengths.items() if count >= 300} == {}


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import course_lib"],
        ["-m", "course_lib", "list", "--json"],
    ],
    ids=" ".join,
)
def test_looking_at_experiments_imports_no_framework(command):
    # -X importtime names every module that is imported, on standard error.
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert any(name.startswith("course_lib") for name in imported)
    assert imported.isdisjoint({"keras", "tensorflow", "jax", "torch"})


SCRIPTS = [*PACKAGE.parent.glob("tests/benchmarks/*.py"), *PACKAGE.parent.glob("tools/*.py")]


def absent(source: str) -> set[str]:
    """What a script takes from the modules of the library and does not find there."""
    tree = ast.parse(source)
    imports = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_lib")
    ]
    modules, missing = {}, set()
    for node in imports:
        package = importlib.import_module(node.module)
        for alias in node.names:
            with contextlib.suppress(ImportError):
                importlib.import_module(f"{node.module}.{alias.name}")  # so that it is an attribute
            if not hasattr(package, alias.name):
                missing.add(f"{node.module}.{alias.name}")
            elif inspect.ismodule(getattr(package, alias.name)):
                modules[alias.asname or alias.name] = getattr(package, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module and not hasattr(module, node.attr):
                missing.add(f"{module.__name__}.{node.attr}")
    return missing


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_scripts_that_no_test_runs_find_what_they_use(file):
    assert not absent(file.read_text(encoding="utf-8"))
