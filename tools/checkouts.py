"""Clones of this repository at a commit, in which recordings run: nobody edits there.

They lie below COURSE_RUNS_DIR, as do the checkpoints, which outlast them. A clone's git knows what
was published in it: whatever differs from the commit.
"""

import shutil
import subprocess
from pathlib import Path

from queued import began_at

from course_lib import files, settings
from course_lib.engine.recording import COMMIT
from course_lib.experiments.runs import Run
from course_lib.settings import CourseError


def home() -> Path:
    """The folder of clones, logs and lock."""
    return settings.runs_dir() / "record"


def git(*words, cwd: Path | None = None) -> str:
    """What git says; a CourseError with its last line when it fails."""
    command = ["git", *map(str, words)]
    done = subprocess.run(command, cwd=cwd or settings.ROOT, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["no reason given"]
        raise CourseError(f"git {words[0]}: {why[-1]}")
    return done.stdout


def head() -> str:
    """The commit that is checked out here, as records name it."""
    return git("rev-parse", "--short=12", "HEAD").strip()


def commit_for(run: Run) -> str:
    """The commit that `entry` runs on: that on which it began, else the one checked out here."""
    commit = began_at(run) or head()
    if not COMMIT.fullmatch(commit):
        raise CourseError(
            f"it was begun by code of no commit ({commit}): delete its checkpoint in "
            f"{run.checkpoints(settings.runs_dir())}, and it begins anew"
        )
    return commit


def at(commit: str) -> Path:
    """A clone of the repository at `commit`, made if needed."""
    place = home() / "checkouts" / commit
    if not place.exists():
        part = place.with_name(f".{commit}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        git("clone", "--quiet", "--no-checkout", settings.ROOT, part)
        git("checkout", "--quiet", "--detach", commit, cwd=part)
        part.rename(place)
    return place


def tidy(todo: list[Run]) -> None:
    """Remove the clones that no run of `entries` goes on from."""
    needed = {head(), *map(began_at, todo)}
    for place in (home() / "checkouts").glob("*"):
        if place.name not in needed:
            shutil.rmtree(place, ignore_errors=True)


def bring_over(run: Run, place: Path) -> list[str]:
    """Move what a finished run has published in `place` to data/ here; the names, from data/ on."""
    where = f"data/records/{run.experiment.id}", f"data/weights/{run.experiment.id}*"
    changed = git("status", "--porcelain", "-z", "-uall", "--no-renames", "--", *where, cwd=place)
    names = [item[3:] for item in changed.split("\0") if (place / item[3:]).is_file()]
    for name in names:
        with files.whole_file(settings.ROOT / name) as part:
            shutil.copyfile(place / name, part)
        (place / name).unlink()
    return names
