"""CIFAR-100: 60,000 photographs of a hundred kinds of things, 32x32 RGB (Krizhevsky 2009).

They lie in COURSE_DATA_DIR, as the folder cifar-100-python or as the archive of that name, which
`prepare` downloads and `load` never does. The archive is read as it is, and no pickle in it is run.
"""

import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from course_lib import files, settings
from course_lib.datasets import Dataset
from course_lib.datasets.pickles import read_pickle

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE = PurePosixPath(URL).name
# As Keras has it, in keras/src/datasets/cifar100.py.
SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
FOLDER = "cifar-100-python"
IMAGES = {"train": 50_000, "test": 10_000}  # as many of each class
CLASSES = {"fine": 100, "coarse": 20}


def load(labels: str = "fine") -> Dataset:
    """The data set with its 100 classes, or with the 20 that they belong to: labels "coarse".

    Raises CourseError when the data are not there, or not as they should be.
    """
    if labels not in CLASSES:
        raise settings.nearest(labels, CLASSES, "kind of labels")
    place = settings.data_dir()
    place = place / FOLDER if (place / FOLDER).is_dir() else place / ARCHIVE
    try:
        names = _pickle(place, "meta")[f"{labels}_label_names"]
        parts = {part: _part(_pickle(place, part), part, labels) for part in IMAGES}
    except FileNotFoundError:
        raise settings.CourseError(
            f"no CIFAR-100 in {place}; run `python -m course_lib prepare cifar100`"
        ) from None
    except (KeyError, ValueError, TypeError, OSError, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno:  # the system's fault, not the file's
            raise settings.CourseError(f"cannot read {place}: {error.strerror}") from error
        raise settings.CourseError(f"{place} is not CIFAR-100 ({error}); delete it") from error
    return Dataset("cifar100", tuple(names), *parts["train"], *parts["test"])


def prepare() -> Path:
    """Download the archive unless the data are there, check them, and return where they lie."""
    data = settings.data_dir()
    if not (data / FOLDER).is_dir():
        from course_lib.datasets import download

        download.fetch(URL, SHA256, files.writable(data))
    load()
    return data / FOLDER if (data / FOLDER).is_dir() else data / ARCHIVE


def _pickle(place: Path, name: str) -> dict:
    if place.is_dir():
        return read_pickle((place / name).read_bytes())
    with tarfile.open(place) as archive:
        return read_pickle(archive.extractfile(f"{FOLDER}/{name}").read())


def _part(batch: dict, part: str, labels: str):
    """(images, labels) of train or test; ValueError where there are not as many as published."""
    images, found = batch["data"].array, np.asarray(batch[f"{labels}_labels"], np.int64)
    wanted = np.full(CLASSES[labels], IMAGES[part] // CLASSES[labels])
    if images.shape != (IMAGES[part], 3 * 32 * 32) or found.shape != images.shape[:1]:
        raise ValueError(f"{part} holds other than {IMAGES[part]:,} images with a label each")
    if found.min() < 0 or not np.array_equal(np.bincount(found), wanted):
        raise ValueError(f"the classes in {part} are not of {wanted[0]} images each")
    planes = images.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), found
