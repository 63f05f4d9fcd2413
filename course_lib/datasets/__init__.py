"""Data sets: one file each. `load(name)` returns a Dataset of uint8 images and labels."""

import hashlib
import importlib
from dataclasses import dataclass, replace

import numpy as np

from course_lib import settings

# The modules that know how to load the data set of that name: load() -> Dataset.
NAMES = {"cifar10": "course_lib.datasets.cifar10", "synthetic": "course_lib.datasets.synthetic"}


@dataclass(frozen=True)
class Dataset:
    """Images (count, height, width, 3) uint8 in RGB order, labels (count,) int64."""

    name: str
    classes: tuple[str, ...]
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def fingerprint(self) -> str:
        """SHA-256 over the sorted digests of all labelled images.

        Copies of a data set that hold the same images in another order agree.
        """
        total = hashlib.sha256()
        for images, labels in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            digests = sorted(
                hashlib.sha256(bytes([label]) + np.ascontiguousarray(image).tobytes()).digest()
                for image, label in zip(images, labels, strict=True)
            )
            total.update(b"".join(digests))
        return total.hexdigest()

    def subset(self, images: int | None = None, test_images: int | None = None) -> "Dataset":
        """Stratified subsets: the first `images` / classes of each class, in data set order.

        The choice depends on no seed, so that seeds of one experiment see the same images.
        """
        train = first_of_each_class(self.y_train, images, len(self.classes))
        test = first_of_each_class(self.y_test, test_images, len(self.classes))
        return replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_test[test],
            y_test=self.y_test[test],
        )


def first_of_each_class(labels: np.ndarray, count: int | None, classes: int) -> np.ndarray:
    """Indices, ascending, of the first count / classes items of every class; None takes all."""
    if count is None:
        return np.arange(len(labels))
    if count % classes:
        raise settings.CourseError(f"{count} images do not divide evenly into {classes} classes")
    chosen = [np.flatnonzero(labels == c)[: count // classes] for c in range(classes)]
    if any(len(c) < count // classes for c in chosen):
        raise settings.CourseError(
            f"a class has fewer than {count // classes} images; ask for fewer than {count}"
        )
    return np.sort(np.concatenate(chosen))


def load(name: str) -> Dataset:
    """The data set called `name`; a CourseError names the nearest choice."""
    if name not in NAMES:
        raise settings.nearest(name, NAMES, "data set")
    return importlib.import_module(NAMES[name]).load()
