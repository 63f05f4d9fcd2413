"""`python -m course_lib` in a process of its own that ends when its parent does."""

import os
import sys

# A thread, because only Linux can send a signal when a parent dies; and runpy, because a thread
# does not outlive os.exec.
_CHILD = """
import os, runpy, sys, threading, time
_, parent, *words = sys.argv
def watch():
    while os.getppid() == int(parent):
        time.sleep(0.5)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
{first}
sys.argv = ["course_lib", *words]
runpy.run_module("course_lib", run_name="__main__", alter_sys=True)
"""


def command(*words: str, first: str = "") -> list[str]:
    """The command of such a process, for `subprocess`. words: of `python -m course_lib`; first:
    Python that it runs before."""
    return [sys.executable, "-c", _CHILD.format(first=first), str(os.getpid()), *words]
