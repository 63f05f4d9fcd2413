"""Build the book from the outputs that its notebooks hold: `make book`, into _build/html.

With --run every chapter is executed on built-in pictures instead, into _build/tried/html: that
shows that all of it runs, not what the networks can do, and touches neither notebooks nor book.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def not_stored(book: Path) -> list[str]:
    """The chapters in the folder whose outputs are not those of `make pages`, a line each."""
    lines = []
    for path in sorted(book.glob("*.ipynb")):
        course = nbformat.read(path, as_version=4).metadata.get("course", {})
        if course.get("profile") != "quick":
            under = f"was run under {course['profile']}" if course else "was not run for its page"
            lines.append(f"{path.name} {under}: make pages CHAPTER={path.name[:2]}")
    return lines


def executing(work: Path) -> Path:
    """A copy of _config.yml, in `work`, by which every chapter is executed."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["execute_notebooks"] = "force"
    config["sphinx"]["local_extensions"] = {"sphinx_course": str(ROOT / "tools")}
    path = work / "_config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def jupyter_book(work: Path, environment: dict[str, str], *options) -> bool:
    """Run the strict build into `work`/_build/html; whether it succeeded. Faults go to stderr."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    command += ["-W", "-n", "--keep-going", "--path-output", work, *options]
    warnings = work / "warnings.log"
    with open(warnings, "w", encoding="utf-8") as stderr:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr
        )
    faults = [
        line
        for line in plain(warnings.read_text(encoding="utf-8")).splitlines()
        # ipykernel's word on its own sockets, once a kernel
        if not line.startswith("[IPKernelApp] WARNING | Kernel is running over TCP")
    ]
    if done.returncode and not faults:
        faults = plain(done.stdout.decode()).splitlines()[-20:]
    for line in faults:
        print(line, file=sys.stderr)
    return done.returncode == 0


def plain(text: str) -> str:
    """`text` without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="build_book", description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="execute, into _build/tried")
    run = parser.parse_args(arguments).run
    begun = time.monotonic()
    place = BUILD / "tried" if run else BUILD
    work, html = place / "work", place / "html"
    # Kept doctrees would hide the faults of pages that are not read again.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environment, options = dict(os.environ), []
    environment.pop("COURSE_SEED", None)
    if run:
        environment |= {"COURSE_PROFILE": "ci", "COURSE_RUNS_DIR": str(work / "runs")}
        options = ["--config", executing(work)]
    elif missing := not_stored(ROOT / "book"):
        print("\n".join(missing), file=sys.stderr)
        return 1
    if not jupyter_book(work, environment, *options):
        print(
            f"The book was not finished: {html.relative_to(ROOT)} is as it was before, and what "
            f"came out lies in {(work / '_build' / 'html').relative_to(ROOT)}.",
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(html, ignore_errors=True)
    os.replace(work / "_build" / "html", html)
    print(f"Built in {time.monotonic() - begun:.0f} s. Open {html / 'index.html'}", end="")
    print(", which shows built-in pictures." if run else " or run make serve.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
