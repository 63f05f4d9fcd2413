"""CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 RGB (Krizhevsky 2009).

They are looked for in COURSE_DATA_DIR, in Keras' cache, at Hugging Face and in Toronto. From
wherever they come, they lie as six batches of 10,000 images, as the official archive holds them,
and are known by their content.
"""

import contextlib
import pickle
from pathlib import Path, PurePosixPath

import numpy as np

from course_lib import settings
from course_lib.datasets import Dataset
from course_lib.datasets.pickles import read_pickle

SOURCES = ("folder", "keras", "huggingface", "toronto")  # in the order in which they are asked

# The fingerprint of all images with their labels, training and test set apart, whatever their
# order. Made from images whose means and deviations are the published ones, in eight digits.
CONTENT = "cd3db3c938fe7b18a8edc613898566401868559d869e337ff290fd6cc29b784d"

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE = PurePosixPath(URL).name
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
ARCHIVE_BYTES = 170_498_071
REPOSITORY = "uoft-cs/cifar10"  # at Hugging Face
FILES = tuple(f"plain_text/{part}-00000-of-00001.parquet" for part in ("train", "test"))

FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
ROWS = 10_000  # images in a batch
PIXELS = 3 * 32 * 32

# SHA-256 of the labels, one byte each, of the official batches 1 to 5: they tell which batch is
# which in a copy that has them in another order, as the archive itself has.
LABELS = (
    "d829dbdf32167c9d7b3687cee66d92d80d46c441308b5aca0d11e8b69e27dac9",
    "5d18f7371ed35ea9ade77952fe958b0660a45cd6c8b8a8970030f21612cfd7e3",
    "32cf77b0ee2e790b1c4384d2d82e42dc1571b87e67f6da8f444b2725b2973f65",
    "d2815e3f8f656272864920fc0edde56b04ec9cf81bf397c0dd3069f4aea51aeb",
    "2ddf3ab27d5d04409c94ce7b56849c243129c10de1058ae0bfe14c77e934800c",
)

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

# A batch as pickled under Python 2 has 31 MB; one whose bytes were pickled as text has 45.
MAX_FILE_BYTES = 128 * 2**20


def load() -> Dataset:
    """The data set: 50,000 training and 10,000 test images, found, unpacked or downloaded.

    Raises CourseError when the data are not there and cannot be had, or are not CIFAR-10.
    """
    return _find()[0]


def prepare(source: str | None = None) -> Path:
    """Find or download the data, check their content, and return their folder. Errors as `load`.

    source: one of SOURCES, which alone is asked; None asks all of them.
    """
    return _find(source)[1]


def _find(source: str | None = None) -> tuple[Dataset, Path]:
    # Only here: what looks elsewhere knows this module.
    from course_lib.datasets import cifar10_sources

    return cifar10_sources.find(source)


def read(folder: Path, shown: Path | None = None) -> Dataset:
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
    return known((images[train], labels[train]), (images[test], labels[test]), place, remedy)


def known(train, test, place, remedy: str) -> Dataset:
    """The Dataset of these (images, labels); CourseError where `place` holds other images."""
    shapes = [(5 * ROWS, 32, 32, 3), (ROWS, 32, 32, 3)]
    with contextlib.suppress(settings.CourseError):  # of what no Dataset may hold
        data = Dataset("cifar10", CLASSES, *train, *test, content=CONTENT)
        if [data.x_train.shape, data.x_test.shape] == shapes and data.fingerprint() == CONTENT:
            return data
    raise settings.CourseError(
        f"{place} does not hold the 50,000 and 10,000 images of CIFAR-10: some are altered, "
        f"mislabelled, there twice, or in the other part; {remedy}"
    )


def write(data: Dataset, folder: Path) -> None:
    """`data` as six batches in a new `folder`, as `read` reads them, and Keras."""
    folder.mkdir()
    images = np.concatenate([data.x_train, data.x_test])
    labels = np.concatenate([data.y_train, data.y_test])
    for number, name in enumerate((*TRAIN_BATCHES, TEST_BATCH)):
        rows = slice(number * ROWS, (number + 1) * ROWS)
        planes = images[rows].transpose(0, 3, 1, 2).reshape(ROWS, PIXELS)
        batch = {b"batch_label": name.encode(), b"labels": labels[rows].tolist(), b"data": planes}
        # Protocol 4: 31 MB a batch. Before 3 bytes become text, and Keras' readers may not know 5.
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))


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
