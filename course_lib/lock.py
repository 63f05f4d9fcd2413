"""One process at a time where two would spoil each other's files."""

import contextlib
import os
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None


@contextlib.contextmanager
def alone(folder: Path):
    """Let one process at a time write into `folder`. The lock ends with its process.

    Yields whether the folder is locked: some systems and network file systems cannot.
    """
    if fcntl is None:
        yield False
        return
    locked = False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another process that writes to {folder}", file=sys.stderr)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            locked = True
        yield locked
    finally:
        os.close(descriptor)
