"""Profile, seed and folders: the only place that reads the environment.

| variable          | meaning                          | default                      |
|-------------------|----------------------------------|------------------------------|
| COURSE_PROFILE    | `quick`, `ci`, `tenth` or `full` | `quick`                      |
| COURSE_SEED       | a whole number from 0            | 0                            |
| COURSE_DATA_DIR   | where data sets are kept         | `data/cache`, not committed  |
| COURSE_RUNS_DIR   | local runs and their checkpoints | `data/runs`, not committed   |

Two more belong to others: KERAS_HOME and HF_ENDPOINT, where data sets may lie.
"""

import contextlib
import functools
import hashlib
import os
import subprocess
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
RECORDS_DIR = ROOT / "data" / "records"
WEIGHTS_DIR = ROOT / "data" / "weights"


class CourseError(Exception):
    """Something the user can mend. The message is one line: what was wrong, what to do."""


@dataclass(frozen=True)
class Profile:
    """How much of an experiment's protocol a run goes through.

    data: what stands in for a data set, by its name; None keeps every experiment's own.
    images: training images at most, stratified by class; None takes all.
    test_images: test images at most, stratified likewise; None takes all.
    epochs: the protocol's first epochs that are run; None runs all of them.
    divide: by this every epoch number of the protocol is divided, see `experiments.divided`.
    precisions: Keras' dtype policies of its runs, the first where the processor computes in it;
        runs in any other have files of their own and stand in no table.
    says: what a page tells its reader about what it shows.
    """

    name: str
    says: str
    data: dict[str, str] | None = None
    images: int | None = None
    test_images: int | None = None
    epochs: int | None = None
    divide: int = 1
    precisions: tuple[str, ...] = ("float32",)


_PROFILES = (
    # 12,800 x 4 = 51,200 image passes for every row of a table, so that rows compare. (An
    # experiment that declares a `quick` of its own stands in no table with others.)
    Profile(
        "quick",
        "real photographs, a few minutes on a laptop; small, but a result",
        images=12_800,
        epochs=4,
    ),
    Profile(
        "ci",
        "pictures drawn by code and a few steps: live cells show that the code works, not what it "
        "achieves; recorded runs are real",
        data={"cifar10": "synthetic", "tiny-imagenet": "synthetic-tiny"},
        images=2_000,
        test_images=500,
        epochs=2,
    ),
    # In float32 where the processor has no unit for bfloat16; the record says which.
    Profile(
        "tenth",
        "real photographs, all of them, and a tenth of the article's epochs",
        divide=10,
        precisions=("mixed_bfloat16", "float32"),
    ),
    Profile("full", "real photographs and the whole protocol of the article"),
)
PROFILES = {profile.name: profile for profile in _PROFILES}
# Those whose runs are published and stand in tables, from the most evidence to the least.
RECORDED = ("full", "tenth", "quick")


def typed(value, kind):
    """`value` as a `kind`, whose annotations say what it may hold; a CourseError says what is
    wrong, and in which field."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # JSON may hold half a letter
        fault = str(error).replace("`$.", "`")  # $: the value as a whole
        raise CourseError(" ".join(fault.split())) from error  # one line, whatever it quotes


def nearest(wrong: str, choices, what: str, limit: int = 3) -> CourseError:
    """An error that names the valid choices closest to `wrong`, best first."""

    def likeness(choice: str) -> tuple[float, float]:
        # Whole ids that share a family look alike, so the names after the slash count as well.
        pairs = [(wrong, choice), (wrong.split("/")[-1], choice.split("/")[-1])]
        ratios = [SequenceMatcher(None, a.lower(), b.lower()).ratio() for a, b in pairs]
        # Where two families have that name, the family decides.
        return max(ratios[0], ratios[1] + 0.1), ratios[0]

    names = sorted(choices, key=likeness, reverse=True)[:limit]
    return CourseError(f"no {what} {wrong!r}; did you mean {' or '.join(names)}?")


def whole_number(text, what: str, least: int = 0, most: int | None = None) -> int:
    """`text` as an integer from `least` to `most`; anything else is a CourseError."""
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        upper = "" if most is None else f" to {most}"
        raise CourseError(f"{what} must be a whole number from {least}{upper}, not {text!r}")
    return number


def seed_from(text, what: str) -> int:
    """`text` as a seed; NumPy's and Keras' generators take 32 bits."""
    return whole_number(text, what, most=2**32 - 1)


def positive(text: str, what: str) -> float:
    """`text` as a finite number above 0; anything else is a CourseError."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise CourseError(f"{what} must be a number above 0, not {text!r}")
    return number


def profile(name: str | None = None) -> Profile:
    """The profile called `name`, else the one in COURSE_PROFILE, else `quick`."""
    if name is None:
        name = os.environ.get("COURSE_PROFILE") or "quick"
    if name not in PROFILES:
        raise nearest(name, PROFILES, "profile")
    return PROFILES[name]


def seed() -> int:
    """The seed in COURSE_SEED, else 0."""
    return seed_from(os.environ.get("COURSE_SEED") or "0", "COURSE_SEED")


def data_dir() -> Path:
    """The folder of the data sets. It need not exist yet."""
    return _folder("COURSE_DATA_DIR", "cache")


def runs_dir() -> Path:
    """The folder of local runs and checkpoints. It need not exist yet."""
    return _folder("COURSE_RUNS_DIR", "runs")


def keras_home() -> Path:
    """Keras' own folder, in which its data sets lie."""
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))


def hugging_face() -> str:
    """The address of the Hugging Face hub, or of the mirror that is set."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def weights_of(id: str) -> Path:
    """The file of an experiment's published weights."""
    return WEIGHTS_DIR / f"{id}.safetensors"


@functools.cache
def code() -> str:
    """SHA-256 of the course's code when this process first asked: what a checkpoint was made by.

    Unlike a commit it is there without git, and a change of the book leaves it as it is.
    """
    folder = Path(__file__).parent
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".py", ".toml"))
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


@functools.cache
def commit() -> str:
    """The commit of the course's code when this process first asked, which is before it trains;
    with `-dirty` if a file of the library differed from it."""
    # In a hook git itself sets GIT_DIR and others, to the repository that is committed to.
    own = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    ask = functools.partial(
        subprocess.check_output, cwd=ROOT, env=own, text=True, stderr=subprocess.DEVNULL
    )
    try:
        if ask(["git", "rev-parse", "--show-prefix"]).strip():
            return "unknown"  # the course lies in somebody else's repository
        name = ask(["git", "rev-parse", "--short=12", "HEAD"]).strip()
        changed = ask(["git", "status", "--porcelain", "--", "course_lib"])
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}-dirty" if changed else name


def _folder(variable: str, default: str) -> Path:
    folder = os.environ.get(variable) or ROOT / "data" / default
    try:
        folder = Path(folder).expanduser().resolve()
        with contextlib.suppress(FileNotFoundError):
            os.stat(folder / "anything")  # may one look into it?
        return folder
    except RuntimeError as error:  # the home of an unknown user
        raise CourseError(f"{variable} is no folder: {folder}; name another") from error
    except OSError as error:
        raise CourseError(f"{variable}: {folder}: {error.strerror}; name another") from error
