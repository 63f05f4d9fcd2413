"""The queue of recordings, data/queue.txt: which runs it names, and what is left of them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from course_lib import checkpoints, experiments, records, settings
from course_lib.settings import CourseError


@dataclass(frozen=True)
class Entry:
    """A line of the queue: a run that is wanted."""

    id: str
    profile: str
    seed: int

    def __str__(self):
        return f"{self.id} {self.profile} {self.seed}"

    def file(self, folder: Path | None = None) -> Path:
        """Where its record belongs below `folder`, by default among the published ones."""
        return records.path(self.id, self.profile, self.seed, folder)

    def begun(self) -> dict | None:
        """The state of its newest checkpoint, if it was interrupted."""
        record = self.file(settings.runs_dir())
        return None if record.exists() else checkpoints.state(record.with_suffix(""))

    def began_at(self) -> str | None:
        """The commit on which it began, if it was interrupted."""
        state = self.begun()
        return state and state.get("circumstances", {}).get("commit", records.UNKNOWN)


def read(file: Path) -> list[Entry]:
    """The entries of `file`; a CourseError names the first line that is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"cannot read {file}: {error}") from error
    entries = {}
    for number, line in enumerate(lines, start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            if len(words) != 3:
                raise CourseError(f"a line is `id profile seed`, not {line.strip()!r}")
            id, profile = experiments.get(words[0]).id, settings.profile(words[1]).name
            if profile == "ci":
                raise CourseError("what is drawn is not published")
            entry = Entry(id, profile, settings.seed_from(words[2], "the seed"))
            if entry in entries:
                raise CourseError(f"{entry} stands in line {entries[entry]} already")
        except CourseError as error:
            raise CourseError(f"{file}, line {number}: {error}") from error
        entries[entry] = number
    return list(entries)


def recorded(entry: Entry) -> bool:
    """Is there a whole record of it in data/records?"""
    with contextlib.suppress(CourseError):
        return bool(records.read(entry.file()))
    return False


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 6000 else f"{seconds / 60:.0f} min"


def measured_seconds(entry: Entry) -> float | None:
    """How long the whole run takes, by its completed epochs or by a record of another seed."""
    experiment, profile = experiments.get(entry.id), settings.profile(entry.profile)
    state = entry.begun()
    if state and state["seconds_per_epoch"]:
        epochs = records.configuration(experiment, profile)["epochs"]
        return mean(state["seconds_per_epoch"]) * epochs
    seconds, known = records.expected_seconds(experiment, profile)
    return seconds if known else None


def seconds_left(entries: list[Entry], todo: list[Entry]) -> tuple[float, bool]:
    """How long `todo` takes, one after the other, and whether any of it is a guess: by the work of
    a network, and by how long that of the measured runs among `entries` takes."""
    measured = {entry: measured_seconds(entry) for entry in entries}
    guessed = {
        entry: records.guessed_seconds(experiments.get(entry.id), settings.profile(entry.profile))
        for entry in entries
    }
    off = [seconds / guessed[entry] for entry, seconds in measured.items() if seconds]
    total = 0.0
    for entry in todo:
        done = (entry.begun() or {}).get("seconds_per_epoch", ())
        total += (measured[entry] or guessed[entry] * median(off or [1])) - sum(done)
    return total, any(measured[entry] is None for entry in todo)


def left(entries: list[Entry], jobs: int) -> str:
    """What is left of the queue, and for how long."""
    todo = [entry for entry in entries if not recorded(entry)]
    if not todo:
        return "nothing is left of the queue"
    seconds, guess = seconds_left(entries, todo)
    begun = sum(entry.begun() is not None for entry in todo)
    return (
        f"{len(todo)} of {len(entries)} runs are left, {begun} of them begun: about "
        f"{hours(seconds / jobs)} with {jobs} side by side{', in part a guess' if guess else ''}"
    )
