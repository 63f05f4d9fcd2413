"""CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 RGB (Krizhevsky 2009).

The official archive holds six pickles of 10,000 images. A pickle can run any code when it is
loaded, so these are read by `_DataOnly`, which knows data only.
"""

import gzip
import io
import os
import pickle
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from course_lib import settings
from course_lib.datasets import Dataset

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
ARCHIVE_BYTES = 170_498_071
FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
ROWS = 10_000  # images in a batch
PIXELS = 3 * 32 * 32

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

# Mean and standard deviation of R, G and B over the 50,000 training images, in grey levels from
# 0 to 255, as printed in the protocol of the article "Keras-SqueezeNet: CIFAR-10" (source S1).
MEAN = (125.307, 122.95, 113.865)
DEVIATION = (62.9932, 62.0887, 66.7048)

# A batch as pickled under Python 2 has 31 MB; one whose bytes were pickled as text has 45.
MAX_FILE_BYTES = 128 * 2**20


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
        # Only here: a machine without a network may lack what downloading needs.
        from course_lib.datasets import download

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
    pixels = getattr(batch["data"], "array", None)
    if pixels is None:
        raise ValueError("the images are no NumPy array")
    if pixels.shape != (ROWS, PIXELS):
        raise ValueError(f"the images have the shape {pixels.shape}, not {(ROWS, PIXELS)}")
    labels = batch["labels"]
    if not isinstance(labels, list) or len(labels) != ROWS:
        raise ValueError(f"there are not {ROWS:,} labels for {ROWS:,} images")
    for number, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise ValueError(f"the label of image {number} is not a whole number from 0 to 9")
    return pixels.reshape(ROWS, 3, 32, 32), labels


class _DataOnly(pickle.Unpickler):
    """Unpickles dicts, lists, numbers, strings and NumPy arrays; refuses every other name."""

    def find_class(self, module: str, name: str):
        # NumPy 2 writes numpy._core where NumPy 1 wrote numpy.core.
        allowed = {
            "numpy.core.multiarray _reconstruct": _Array,
            "numpy._core.multiarray _reconstruct": _Array,
            "numpy ndarray": object,
            "numpy dtype": _Type,
            "_codecs encode": _encode,  # how Python 3 writes bytes in an old protocol
        }
        wanted = f"{module} {name}"
        if wanted not in allowed:
            raise ValueError(f"the file asks for {wanted[:80]!r}, which no batch needs")
        return allowed[wanted]


class _Array:
    """Stands where the file wants NumPy to rebuild an array: only takes note of its parts."""

    def __init__(self, *ignored):
        self.array = None

    def __setstate__(self, state):
        _, shape, kind, column_major, data = state
        if not isinstance(kind, _Type) or kind.code != "u1":
            raise ValueError("the images are not of type uint8")
        data = data.encode("latin1") if isinstance(data, str) else data  # str: from Python 2
        self.array = np.frombuffer(data, np.uint8)
        self.array = self.array.reshape(shape, order="F" if column_major else "C")


class _Type:
    """Stands where the file wants a NumPy type: keeps its code, ignores its state."""

    def __init__(self, code, *ignored):
        self.code = code

    def __setstate__(self, state):
        pass


def _encode(text: str, coding: str) -> bytes:
    if coding != "latin1":  # `codecs.encode` itself would decompress, or import a codec
        raise ValueError(f"the file asks for the coding {coding!r}, which no batch needs")
    return text.encode("latin1")


def read_pickle(raw: bytes):
    """The plain data in a pickle; keys are str, whether Python 2 or 3 wrote them.

    Nothing that the file names is imported or called, except what `_DataOnly` allows.
    ValueError for anything else, for a truncated file and for garbage.
    """
    try:
        batch = _DataOnly(io.BytesIO(raw), encoding="latin1").load()
    except ValueError:
        raise
    except Exception as error:  # garbage makes the unpickler raise almost anything
        raise ValueError("the file is no pickle of a CIFAR-10 batch") from error
    if isinstance(batch, dict):
        batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
    return batch
