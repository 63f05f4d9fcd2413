"""`python -m course_lib` in a process of its own that ends when its parent does."""

import subprocess
import sys

# The child reads from a pipe that nobody writes to: it ends when the parent closes it or dies, on
# every system and after kill -9. A thread, and runpy, since a thread does not outlive os.exec.
_CHILD = """
import os, runpy, sys, threading
_, *words = sys.argv
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
{first}
sys.argv = ["course_lib", *words]
runpy.run_module("course_lib", run_name="__main__", alter_sys=True)
"""


def start(*words: str, first: str = "", **options) -> subprocess.Popen:
    """Start such a process. words: of `python -m course_lib`; first: Python that it runs before;
    options: of Popen. Whoever starts it keeps its `stdin` open as long as it is to live."""
    command = [sys.executable, "-c", _CHILD.format(first=first), *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, **options)
