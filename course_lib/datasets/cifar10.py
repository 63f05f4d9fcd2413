"""CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 RGB (Krizhevsky 2009).

The official archive holds six pickles of 10,000 images. A pickle can run any code when it is
loaded, so these are read by `read_pickle`, which knows data only.
"""

import gzip
import os
import pickletools
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from course_lib import settings
from course_lib.datasets import Dataset, download

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
ARCHIVE_BYTES = 170_498_071
FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
ROWS = 10_000  # images in a batch
PIXELS = 3 * 32 * 32

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# Mean and standard deviation of R, G and B over the 50,000 training images, in grey levels from
# 0 to 255, as printed in the protocol of the article "Keras-SqueezeNet: CIFAR-10" (source S1).
MEAN = (125.307, 122.95, 113.865)
DEVIATION = (62.9932, 62.0887, 66.7048)

# A batch as pickled under Python 2 has 31 MB; one whose bytes were pickled as text has 45.
MAX_FILE_BYTES = 128 * 2**20
MAX_OPCODES = 1_000_000  # a batch has about 90,000


def load() -> Dataset:
    """The data set: 50,000 training and 10,000 test images, found, unpacked or downloaded.

    Raises CourseError when the data are not there and cannot be had, or are not CIFAR-10.
    """
    return _read(_folder())


def prepare() -> Path:
    """Find or download the data, check every batch, and return their folder. Errors as `load`."""
    folder = _folder()
    _read(folder)
    return folder


def _folder() -> Path:
    """The folder of the batches below the data folder, made from the archive if need be."""
    data = settings.data_dir()
    folder = data / FOLDER
    if not folder.is_dir():
        _unpack(download.fetch(URL, SHA256, data, size=ARCHIVE_BYTES), folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack `archive` to `folder`, which appears only when complete and checked."""
    settings.writable(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".cifar10-", dir=folder.parent))
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _refuse_strangers(member, archive)
                tar.extract(member, temporary, filter="data")
        _read(temporary / FOLDER, shown=archive)
        os.rename(temporary / FOLDER, folder)
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise settings.CourseError(
            f"{archive} is truncated or damaged ({error}); delete it and run this again"
        ) from error
    except OSError as error:
        if not folder.is_dir():  # else another process was faster, and its folder is as good
            raise settings.CourseError(
                f"cannot unpack {archive} to {folder}: {error.strerror}; make room there or "
                "choose another folder with COURSE_DATA_DIR"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_strangers(member: tarfile.TarInfo, archive: Path) -> None:
    """CourseError for whatever is not a plain file or folder inside the archive's own folder."""
    path = PurePosixPath(member.name)
    inside = path.parts[:1] == (FOLDER,) and ".." not in path.parts
    if not inside or not (member.isreg() or member.isdir()):
        raise settings.CourseError(
            f"{archive} holds {member.name!r}, a link or a path that leaves {FOLDER}; "
            "delete the archive and run this again"
        )


def _read(folder: Path, shown: Path | None = None) -> Dataset:
    """The batches in `folder` as a Dataset; errors name `shown` as the place of the fault."""
    place = shown or folder
    remedy = f"delete {place} and run `python -m course_lib prepare cifar10`"
    images = np.empty((6 * ROWS, 32, 32, 3), np.uint8)
    labels = np.empty(6 * ROWS, np.int64)
    for number, name in enumerate((*TRAIN_BATCHES, TEST_BATCH)):
        rows = slice(number * ROWS, (number + 1) * ROWS)
        try:
            planes, labels[rows] = read_batch(folder / name)
        except FileNotFoundError:
            raise settings.CourseError(f"{name} is missing in {place}; {remedy}") from None
        except OSError as error:
            message = f"cannot read {folder / name}: {error.strerror}"
            raise settings.CourseError(message) from error
        except ValueError as error:
            raise settings.CourseError(f"{name} in {place}: {error}; {remedy}") from error
        for channel in range(3):  # several times faster than one copy of the transposed array
            images[rows, :, :, channel] = planes[:, channel]
    train, test = slice(0, 5 * ROWS), slice(5 * ROWS, None)
    return Dataset("cifar10", CLASSES, images[train], labels[train], images[test], labels[test])


def read_batch(path: Path) -> tuple[np.ndarray, list[int]]:
    """Images (10000, 3, 32, 32) uint8 and 10,000 labels of a batch; ValueError says what is wrong.

    Source of the layout: https://www.cs.toronto.edu/~kriz/cifar.html, "Python version".
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"the file is larger than {MAX_FILE_BYTES:,} bytes")
    batch = read_pickle(path.read_bytes())
    if not isinstance(batch, dict) or not {"data", "labels"} <= set(batch):
        raise ValueError("the file holds no 'data' and 'labels'")
    pixels = _uint8_array(batch["data"])
    if pixels.shape != (ROWS, PIXELS):
        raise ValueError(f"the images have the shape {pixels.shape}, not {(ROWS, PIXELS)}")
    labels = batch["labels"]
    if not isinstance(labels, list) or len(labels) != ROWS:
        raise ValueError(f"there are not {ROWS:,} labels for {ROWS:,} images")
    for number, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise ValueError(f"the label of image {number} is not a whole number from 0 to 9")
    return pixels.reshape(ROWS, 3, 32, 32), labels


class _Object:
    """What a batch asks a constructor for: kept as a note, never constructed."""

    __slots__ = ("constructor", "arguments", "state")

    def __init__(self, constructor, arguments):
        self.constructor, self.arguments, self.state = constructor, arguments, None


_ARRAY = "numpy.core.multiarray _reconstruct"
_CONSTRUCTORS = {
    "numpy.core.multiarray _reconstruct": _ARRAY,
    "numpy._core.multiarray _reconstruct": _ARRAY,  # written under NumPy 2
    "numpy dtype": "numpy dtype",
}
_NAMES = {*_CONSTRUCTORS, "numpy ndarray", "_codecs encode"}
_VALUES = {"BININT", "BININT1", "BININT2", "BINUNICODE", "BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_MALFORMED = (LookupError, TypeError, AttributeError)


def _uint8_array(noted) -> np.ndarray:
    """The array that a note describes; ValueError unless it is a whole one of type uint8."""
    if not isinstance(noted, _Object) or noted.constructor != _ARRAY or not noted.state:
        raise ValueError("the images are no NumPy array")
    try:
        _, shape, dtype, column_major, data = noted.state
        if dtype.arguments[0] != "u1":
            raise ValueError("the images are not of type uint8")
        array = np.frombuffer(data.encode("latin-1"), np.uint8)
        return array.reshape(shape, order="F" if column_major else "C")
    except _MALFORMED as error:
        raise ValueError("the images are no NumPy array") from error


def read_pickle(raw: bytes):
    """The plain data in a pickle of protocol 1 or 2: dicts, lists, tuples, strings, numbers.

    It carries out the few opcodes that a CIFAR-10 batch needs and calls nothing that the file
    names: an array becomes a note of its parts. Strings are str, one character a byte, whether
    Python 2 wrote bytes or Python 3 wrote text for `_codecs.encode(text, "latin1")`.
    ValueError for anything else, for a truncated file and for garbage. Memory stays within a
    small multiple of the file's size.
    """
    try:
        return _run(raw)
    except _MALFORMED as error:
        raise ValueError("the file is no pickle of a CIFAR-10 batch") from error


def _run(raw: bytes):
    stack, memo = [], {}

    def since_mark() -> list:
        start = len(stack) - 1
        while stack[start] is not _MARK:  # an IndexError where there is none
            start -= 1
        items = stack[start + 1 :]
        del stack[start:]
        return items

    for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        name = opcode.name
        if count > MAX_OPCODES:
            raise ValueError("the pickle is longer than any CIFAR-10 batch")
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _VALUES:
            stack.append(argument)
        elif name in _TUPLES:
            size = _TUPLES[name]
            items = stack[len(stack) - size :]
            if len(items) != size:
                raise LookupError
            stack[len(stack) - size :] = [tuple(items)]
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_note(function, arguments))
        elif name == "GLOBAL":
            if argument not in _NAMES:
                raise ValueError(f"the file asks for {argument[:80]!r}, which no batch needs")
            stack.append(argument)
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].state = state  # only an _Object takes it
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else since_mark()
            list.extend(stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else since_mark()
            if len(items) % 2 or not all(isinstance(key, str) for key in items[::2]):
                raise TypeError
            dict.update(stack[-1], zip(items[::2], items[1::2], strict=True))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"the file uses the opcode {name}, which no batch needs")
    return stack.pop()


def _note(function, arguments):
    if function == "_codecs encode" and arguments[1:] == ("latin1",):
        return arguments[0]
    if not isinstance(function, str):  # looked up, a tuple nested deep enough overflows the stack
        raise TypeError
    return _Object(_CONSTRUCTORS[function], arguments)
