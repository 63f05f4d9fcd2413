"""Files: whole or not at all, and one process at a time where two would spoil each other's."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from course_lib.settings import CourseError

LOCK = ".lock"


@contextlib.contextmanager
def whole_file(
    target: Path, remedy="make room or choose another folder", previous: Path | None = None
):
    """A path beside `target` to write to; it becomes `target` when all has been written.

    Until then `target` stays as it was, or absent; then it goes to `previous`. A fault of the
    disk is a CourseError that ends with `remedy`.
    """
    part = target.with_name(f".{target.name}.part")  # a killed process leaves one, not many
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        if previous and target.exists():
            os.replace(target, previous)
        os.replace(part, target)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror}; nothing was changed: {remedy}"
        raise CourseError(message) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def writable(folder: Path) -> Path:
    """`folder`, made if needed; a CourseError when it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CourseError(
            f"cannot write to {folder}: {error.strerror}; choose another folder with "
            "COURSE_DATA_DIR or COURSE_RUNS_DIR"
        ) from error
    return folder


@contextlib.contextmanager
def alone(folder: Path):
    """Let one process at a time write into `folder`. The lock ends with its process.

    Yields whether the folder is locked: some network file systems cannot.
    """
    lock = FileLock(folder / LOCK)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            print(f"waiting for another process that writes to {folder}", file=sys.stderr)
            lock.acquire()
    except (OSError, NotImplementedError):  # it cannot lock, or is only to be read
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
