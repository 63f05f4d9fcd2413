"""The queue of recordings, data/queue.txt: which runs it names, and what is left of them."""

import contextlib
from pathlib import Path
from statistics import mean, median

from course_lib import records, settings
from course_lib.engine import checkpoints
from course_lib.experiments import runs
from course_lib.experiments.runs import Run
from course_lib.settings import CourseError


def begun(run: Run) -> dict | None:
    """The state of its newest checkpoint, if it was interrupted."""
    folder = settings.runs_dir()
    return None if run.file(folder).exists() else checkpoints.state(run.checkpoints(folder))


def began_at(run: Run) -> str | None:
    """The commit on which it began, if it was interrupted."""
    state = begun(run)
    return state and state.get("circumstances", {}).get("commit", records.UNKNOWN)


def read(file: Path) -> list[Run]:
    """The runs that `file` names; a CourseError names the first line that is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"cannot read {file}: {error}") from error
    found, lines_of = [], {}
    for number, line in enumerate(lines, start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            if len(words) not in (3, 4):
                raise CourseError(f"a line is `id profile seed [precision]`, not {line.strip()!r}")
            run = runs.named(*words[:3], precision=(words[3:] or [None])[0])
            if run.profile.name == "ci":
                raise CourseError("what is drawn is not published")
            if str(run) in lines_of:
                raise CourseError(f"{run} stands in line {lines_of[str(run)]} already")
        except CourseError as error:
            raise CourseError(f"{file}, line {number}: {error}") from error
        lines_of[str(run)] = number
        found.append(run)
    return found


def recorded(run: Run) -> bool:
    """Is there a whole record of it in data/records?"""
    with contextlib.suppress(CourseError):
        return bool(records.read(run.file()))
    return False


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 6000 else f"{seconds / 60:.0f} min"


def measured_seconds(run: Run) -> float | None:
    """How long the whole run takes, by its completed epochs or by a record of another seed."""
    state = begun(run)
    if state and state["seconds_per_epoch"]:
        return mean(state["seconds_per_epoch"]) * run.configuration()["epochs"]
    seconds, known = records.expected_seconds(run)
    return seconds if known else None


def seconds_left(queue: list[Run], todo: list[Run]) -> tuple[float, bool]:
    """How long `todo` takes, one after the other, and whether any of it is a guess: by the work of
    a network, and by how long that of the measured runs in `queue` takes."""
    measured = {str(run): measured_seconds(run) for run in queue}
    guessed = {str(run): records.guessed_seconds(run) for run in queue}
    off = [seconds / guessed[run] for run, seconds in measured.items() if seconds]
    total = 0.0
    for run in map(str, todo):
        total += measured[run] or guessed[run] * median(off or [1])
    total -= sum(sum((begun(run) or {}).get("seconds_per_epoch", ())) for run in todo)
    return total, any(measured[str(run)] is None for run in todo)


def left(queue: list[Run], jobs: int) -> str:
    """What is left of the queue, and for how long."""
    todo = [run for run in queue if not recorded(run)]
    if not todo:
        return "nothing is left of the queue"
    seconds, guess = seconds_left(queue, todo)
    begun_ones = sum(begun(run) is not None for run in todo)
    return (
        f"{len(todo)} of {len(queue)} runs are left, {begun_ones} of them begun: about "
        f"{hours(seconds / jobs)} with {jobs} side by side{', in part a guess' if guess else ''}"
    )
