"""How long it takes to look: `import course_lib`, and the list of experiments.

    python tests/benchmarks/bench_import.py

Each in a fresh interpreter, in turn with an interpreter that does nothing; medians. At most 0.3 s
is wanted for the import.
"""

import statistics
import subprocess
import sys
import time

CASES = {
    "nothing": ["-c", "pass"],
    "import course_lib": ["-c", "import course_lib"],
    "import course_lib.experiments": ["-c", "import course_lib.experiments"],
    "python -m course_lib list": ["-m", "course_lib", "list"],
}
ROUNDS = 7


def seconds(words: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    rounds = [{name: seconds(words) for name, words in CASES.items()} for _ in range(ROUNDS + 1)]
    for name in CASES:
        median = statistics.median(times[name] for times in rounds[1:])  # the first fills caches
        print(f"{name:32}{median:8.3f} s")


if __name__ == "__main__":
    main()
