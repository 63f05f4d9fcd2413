"""Work off the queue of recordings: `make record MINUTES=150`.

data/queue.txt names runs, the most wanted first, `id profile seed [precision]` a line. Each is a
process of its own, one thread at the lowest priority, as many side by side as there are cores. What
was stopped, however roughly, goes on at the next call from its last completed epoch.

A run's code is a clone of this repository at a commit, so that nobody's editing gets into a record:
a new run takes HEAD; one that was interrupted takes the commit on which it began, which its
checkpoint names. A finished record, and weights if it has any, move to data/ here, to be
committed by hand. Clones and logs lie in `record` below COURSE_RUNS_DIR.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import checkouts
import queued
from filelock import FileLock, Timeout
from queued import begun, hours

from course_lib import files, processor, settings
from course_lib.engine import children
from course_lib.engine.recording import TO_GO_ON
from course_lib.experiments.runs import Run
from course_lib.settings import CourseError

POLL = 0.5  # seconds
GRACE = 300  # seconds past its time in which a run may evaluate and write, before it is ended

# What a run's process does first: it takes the lowest priority, and makes sure whose code it is
# about to run.
FIRST = """
import importlib.util
os.nice(19)
found = getattr(importlib.util.find_spec("course_lib"), "origin", None)
if not found or not os.path.samefile(os.path.dirname(os.path.dirname(found)), os.getcwd()):
    sys.exit(f"course_lib would come from {found}, not from {os.getcwd()}")
"""


@dataclass
class Job:
    run: Run
    process: subprocess.Popen
    log: Path
    checkout: Path
    started: float = field(default_factory=time.monotonic)


def say(text: str) -> None:
    print(time.strftime("%H:%M"), text, flush=True)


def start(run: Run, minutes: float | None) -> Job:
    """Start `run` in a process of its own."""
    place = checkouts.at(checkouts.commit_for(run))
    log = checkouts.home() / "logs" / run.experiment.id / f"{run.file().stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["run", run.experiment.id, "--publish"]
    words += ["--profile", run.profile.name, "--seeds", str(run.seed)]
    words += ["--precision", run.precision] if run.precision else []
    words += ["--minutes", f"{minutes:.2f}"] if minutes else []
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),  # before the editable install of the working tree
        "PYTHONUNBUFFERED": "1",
        "COURSE_RUNS_DIR": str(settings.runs_dir()),
        "COURSE_DATA_DIR": str(settings.data_dir()),
    }
    with open(log, "ab") as out:
        out.write(f"\n=== {time.strftime('%F %T')} at {place.name}\n".encode())
        out.flush()
        process = children.start(
            *words,
            first=FIRST,
            cwd=place,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the parent's to pass on
        )
    return Job(run, process, log, place)


def end(jobs: list[Job]) -> None:
    """End their processes; at most the running epoch of each is lost."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for job in [job for job in jobs if job.process.poll() is None]:
            os.killpg(job.process.pid, number)
        limit = time.monotonic() + 5
        while time.monotonic() < limit and any(job.process.poll() is None for job in jobs):
            time.sleep(0.05)
    for job in jobs:
        job.process.stdin.close()


def last_lines(log: Path, count: int = 3) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def outcome(job: Job, status: int) -> str | None:
    """Say how `job` ended, and bring over what it published; what went wrong, if it failed."""
    run, taken = job.run, hours(time.monotonic() - job.started)
    if status == TO_GO_ON:
        epochs = len((begun(run) or {}).get("seconds_per_epoch", ()))
        say(f"{run}: stopped after {taken}, {epochs} epochs are done")
        return None
    try:
        if status:
            raise CourseError(f"exit status {status}\n{last_lines(job.log)}")
        names = checkouts.bring_over(run, job.checkout)
        if not run.file().exists():
            raise CourseError(f"it left no record\n{last_lines(job.log)}")
    except CourseError as error:
        say(f"{run}: failed after {taken}")
        return f"{run}: {error}\n    the whole log: {job.log}"
    say(f"{run}: finished after {taken}: {', '.join(names)}")
    return None


def work(queue: list[Run], most: int, minutes: float | None, failed: list[str]) -> None:
    """Run `queue` in its order, `most` side by side, for that long. What fails, and why, is
    added to `failed`; the others go on."""
    waiting, running = deque(queue), []
    limit = time.monotonic() + 60 * minutes if minutes else float("inf")
    try:
        while True:
            while waiting and len(running) < most and time.monotonic() < limit:
                run = waiting.popleft()
                try:
                    running.append(start(run, minutes and (limit - time.monotonic()) / 60))
                    say(f"{run}: running at {running[-1].checkout.name}")
                except CourseError as error:
                    failed.append(f"{run}: {error}")
            if not running:
                return
            time.sleep(POLL)
            overdue = time.monotonic() > limit + GRACE
            if overdue:
                end(running)
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                job.process.stdin.close()
                failure = outcome(job, TO_GO_ON if overdue else job.process.returncode)
                failed += [failure] if failure else []
    finally:
        end(running)


@contextlib.contextmanager
def alone():
    """Let one process at a time work the queue off; a CourseError if another does."""
    lock = FileLock(files.writable(checkouts.home()) / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CourseError(
            "another make record is at work here: let it finish, or stop it first"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def stoppable():
    """Turn the first signal that asks this process to end into a KeyboardInterrupt."""

    def stop(number, frame):
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # the runs are ended in peace
        raise KeyboardInterrupt

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {n: handler for n, handler in before.items() if handler is not signal.SIG_IGN}  # nohup
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="record", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", help="stop in time; without it, when the queue is done")
    parser.add_argument("--jobs", help="runs side by side (default: a run a core)")
    parser.add_argument("--left", action="store_true", help="only say what is left")
    args = parser.parse_args(arguments)
    failed = []
    try:
        minutes = settings.positive(args.minutes, "MINUTES") if args.minutes else None
        jobs = settings.whole_number(args.jobs, "JOBS", least=1) if args.jobs else processor.cores()
        queue = queued.read(settings.ROOT / "data" / "queue.txt")
        if args.left:
            print(queued.left(queue, jobs))
            return 0
        with alone(), stoppable():
            todo = [run for run in queue if not queued.recorded(run)]
            checkouts.tidy(todo)
            say(queued.left(queue, jobs))
            work(todo, jobs, minutes, failed)
            say(queued.left(queue, jobs))
    except CourseError as error:
        print("record:", *str(error).split(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; make record goes on from the last completed epochs", file=sys.stderr)
        return 130
    finally:
        if failed:
            print("failed, and tried again at the next call:", *failed, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
