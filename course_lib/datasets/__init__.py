"""Data sets: one file each. `load(name)` returns a Dataset of uint8 images and labels."""

import hashlib
import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from course_lib import settings

# The modules that know how to load the data set of that name: load() -> Dataset.
NAMES = {
    "cifar10": "course_lib.datasets.cifar10",
    "cifar100": "course_lib.datasets.cifar100",
    "synthetic": "course_lib.datasets.synthetic",
    "tiny-imagenet": "course_lib.datasets.tiny_imagenet",
    "synthetic-tiny": "course_lib.datasets.synthetic_tiny",
}

HELP = """Data sets, and where they come from:

  cifar10         60,000 photographs, 32x32; the first of these places that has them, or with
                  --from one alone:
                    folder       COURSE_DATA_DIR: cifar-10-batches-py/ or cifar-10-python.tar.gz
                    keras        Keras' cache, ~/.keras/datasets or below KERAS_HOME
                    huggingface  uoft-cs/cifar10 at huggingface.co, or at the mirror in HF_ENDPOINT,
                                 144 MB; needs pyarrow
                    toronto      www.cs.toronto.edu, its home, 170 MB; often slow
  cifar100        60,000 photographs of 100 classes, 32x32; COURSE_DATA_DIR: cifar-100-python/ or
                  cifar-100-python.tar.gz, else www.cs.toronto.edu, 169 MB; often slow
  tiny-imagenet   110,000 photographs, 64x64; COURSE_DATA_DIR: tiny-imagenet-200/ or
                  tiny-imagenet-200.zip, else cs231n.stanford.edu, 248 MB
  synthetic       drawn by code: stands for cifar10 under the profile ci
  synthetic-tiny  drawn by code: stands for tiny-imagenet under the profile ci

What is downloaded is checked and kept in COURSE_DATA_DIR; Keras' copy is read where it lies.
"""


@dataclass(frozen=True)
class Dataset:
    """Images (count, height, width, 3) uint8 in RGB order, labels (count,) int64.

    Images are arrays, or readers (hdf5.Images) that give arrays when indexed.
    x_val, y_val: a validation set, where the data set has one.
    content: a SHA-256 that copies of the whole data set share, whatever their order; a part of it
    keeps that of the whole. None where nobody has said.
    """

    name: str
    classes: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    x_val: np.ndarray | None = None
    y_val: np.ndarray | None = None
    content: str | None = None

    def __post_init__(self):
        """CourseError for images and labels that no network here could be trained on as they are;
        pixels between 0 and 1 would train, on next to nothing."""
        for part in ("train", "test", "val"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if (x is None) != (y is None) or (x is None and part != "val"):
                raise settings.CourseError(f"{self.name}: x_{part} and y_{part} belong together")
            if x is not None:
                _check(x, y, len(self.classes), f"{self.name}, {part}")

    def fingerprint(self) -> str:
        """SHA-256 over the sorted digests of all training and test images with their labels.

        Copies of a data set that hold the same images in another order agree.
        """
        total = hashlib.sha256()
        for images, labels in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            total.update(b"".join(sorted(_digests(images, labels))))
        return total.hexdigest()

    def order(self) -> str:
        """SHA-256 over the digests of all images with their labels, in the order they stand in.

        Where two copies agree in it, the same run sees the same batches, bit for bit.
        """
        total = hashlib.sha256()
        for part in ("train", "test", "val"):
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if labels is not None:
                total.update(b"".join(_digests(images, labels)))
        return total.hexdigest()

    def of_classes(self, count: int) -> "Dataset":
        """The data set of the first `count` classes alone."""
        part = self._where(lambda _, labels: np.flatnonzero(labels < count))
        return replace(part, classes=self.classes[:count])

    def subset(self, images: int | None = None, test_images: int | None = None) -> "Dataset":
        """Stratified subsets: the first `images` / classes of each class, in data set order.

        test_images: of the test set and of the validation set. The choice depends on no seed, so
        that seeds of one experiment see the same images.
        """

        def choose(part, labels):
            count = images if part == "train" else test_images
            return first_of_each_class(labels, count, len(self.classes))

        return self._where(choose)

    def _where(self, choose) -> "Dataset":
        """Of every part the rows choose(part, labels). A reader reads nothing yet."""
        changes = {}
        for part in ("train", "test", "val"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if y is not None:
                rows = choose(part, y)
                changes[f"x_{part}"] = x.rows(rows) if hasattr(x, "rows") else x[rows]
                changes[f"y_{part}"] = y[rows]
        return replace(self, **changes)


def _check(images, labels, classes: int, place: str) -> None:
    """CourseError unless they are uint8 RGB images with one label from 0 to classes - 1 each."""
    kind, shape = getattr(images, "dtype", None), tuple(getattr(images, "shape", ()))
    if kind != np.uint8 or len(shape) != 4 or shape[3] != 3:
        kind = type(images).__name__ if kind is None else f"{kind} {shape}"
        raise settings.CourseError(
            f"{place}: images are uint8 (count, height, width, 3), RGB from 0 to 255, not {kind}"
        )
    kind, shape = getattr(labels, "dtype", None), tuple(getattr(labels, "shape", ()))
    if kind is None or not np.issubdtype(kind, np.integer) or shape != (len(images),):
        kind = type(labels).__name__ if kind is None else f"{kind} {shape}"
        raise settings.CourseError(
            f"{place}: labels are whole numbers ({len(images)},), one an image, not {kind}"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise settings.CourseError(
            f"{place}: labels are from 0 to {classes - 1}, one of the {classes} classes, not from "
            f"{labels.min()} to {labels.max()}"
        )


def _digests(images, labels) -> list[bytes]:
    """SHA-256 of each label, as one byte, with its image."""
    return [
        hashlib.sha256(bytes([label]) + np.ascontiguousarray(images[k]).tobytes()).digest()
        for k, label in enumerate(labels)
    ]


def first_of_each_class(labels: np.ndarray, count: int | None, classes: int) -> np.ndarray:
    """Indices, ascending, of the first count / classes items of every class; None takes all.

    A class that has fewer gives all of them. CourseError where not even one a class is asked for.
    """
    if count is None:
        return np.arange(len(labels))
    if count < classes:
        raise settings.CourseError(f"{count} images are not one for each of {classes} classes")
    chosen = [np.flatnonzero(labels == c)[: count // classes] for c in range(classes)]
    return np.sort(np.concatenate(chosen))


def load(name: str) -> Dataset:
    """The data set called `name`, with its content; a CourseError names the nearest choice."""
    data = _module(name).load()
    # Drawn ones are small enough to be hashed at every load; the others know what they hold.
    return data if data.content else replace(data, content=data.fingerprint())


def prepare(name: str, source: str | None = None) -> Path | None:
    """Find or download the data set, check it, and return its folder; None if it is drawn.

    source: the only place to ask, for a data set that has several; CourseError for any other.
    """
    module = _module(name)
    if source is not None and not hasattr(module, "SOURCES"):
        raise settings.CourseError(f"--from is for cifar10: {name} has one source; leave it out")
    if not hasattr(module, "prepare"):
        return None
    return module.prepare() if source is None else module.prepare(source)


def _module(name: str):
    if name not in NAMES:
        raise settings.nearest(name, NAMES, "data set")
    return importlib.import_module(NAMES[name])
