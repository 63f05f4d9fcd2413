"""Build the book into _build/html: `make book`, or `make book DATA=cifar10` for real images.

Jupyter Book keeps the pages that it has executed, and executes one again when its own code
changes. It does not notice a change in the library or in a record: `fingerprint` does.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
# Jupyter Book works below work/_build; what is finished moves to _build/html.
WORK = BUILD / "work"
CACHE = WORK / "_build" / ".jupyter_cache"
RUNS = WORK / "runs"  # what live cells leave behind
STAMP = WORK / "fingerprint"
SOURCES = ("course_lib", "data/records", "data/weights", "requirements.lock")
PROFILES = {"builtin": "ci", "cifar10": "quick"}


def fingerprint(data: str, root: Path = ROOT) -> str:
    """SHA-256 of what decides a page's outputs, besides the page's own code."""
    backend = os.environ.get("KERAS_BACKEND")
    digest = hashlib.sha256(f"{data} {backend} {sys.version}".encode())
    for source in SOURCES:
        path = root / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\n{file.relative_to(root)} {file.stat().st_size}\n".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def drop_stale(now: str, stamp: Path, folders: list[Path]) -> None:
    """Remove `folders` unless they were made under the fingerprint `now`."""
    if not stamp.exists() or stamp.read_text() != now:
        stamp.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(now)


def jupyter_book(environment: dict[str, str]) -> tuple[bool, int]:
    """Run the strict build into WORK: whether it succeeded, and how many pages it executed."""
    # Kept doctrees would hide the faults of pages that are not read again.
    for folder in ("html", ".doctrees"):
        shutil.rmtree(WORK / "_build" / folder, ignore_errors=True)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    command += ["-W", "-n", "--keep-going", "--path-output", WORK]
    executed, status, warnings = 0, [], WORK / "warnings.log"
    with (
        open(warnings, "w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
        ) as process,
    ):
        for line in map(plain, process.stdout):
            status.append(line)
            if ": Executing notebook" in line:
                executed += 1
                print("Executing", line.split(":")[0].removeprefix(f"{ROOT}/"), flush=True)
    faults = [
        line
        for line in plain(warnings.read_text(encoding="utf-8")).splitlines()
        # ipykernel's word on its own sockets, once a kernel
        if not line.startswith("[IPKernelApp] WARNING | Kernel is running over TCP")
    ]
    succeeded = process.returncode == 0
    if not succeeded and not faults:
        faults = [line.rstrip() for line in status[-20:]]
    for line in faults:
        print(line, file=sys.stderr)
    return succeeded, executed


def plain(text: str) -> str:
    """`text` without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="build_book", description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=PROFILES, default="builtin")
    data = parser.parse_args(arguments).data
    environment = os.environ | {"COURSE_PROFILE": PROFILES[data], "COURSE_RUNS_DIR": str(RUNS)}
    environment.pop("COURSE_SEED", None)
    if data != "builtin":
        prepare = [sys.executable, "-m", "course_lib", "prepare", data]
        if status := subprocess.run(prepare, cwd=ROOT, env=environment).returncode:
            return status

    begun, now = time.monotonic(), fingerprint(data)
    drop_stale(now, STAMP, [CACHE, RUNS])
    succeeded, executed = jupyter_book(environment)
    if fingerprint(data) != now:
        STAMP.unlink()  # edited meanwhile: pages may come from either state
    if not succeeded:
        print(
            "The book was not finished: _build/html is as it was before, and what came out lies "
            f"in {WORK.relative_to(ROOT) / '_build' / 'html'}.",
            file=sys.stderr,
        )
        return 1

    html = BUILD / "html"
    shutil.rmtree(html, ignore_errors=True)
    os.replace(WORK / "_build" / "html", html)
    seconds = time.monotonic() - begun
    print(f"Built on {data} data, profile {PROFILES[data]}, in {seconds:.0f} s.")
    print(f"Chapters executed: {executed}. Open {html / 'index.html'} or run make serve.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
