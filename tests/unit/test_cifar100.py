"""CIFAR-100 from drawn files of its layout: the real ones are 169 MB, and nobody's to commit."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from course_lib import datasets
from course_lib.datasets import cifar100
from course_lib.settings import CourseError


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The three files, name -> bytes, of two images a class to train on, and one to test."""
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(cifar100, "IMAGES", {"train": 200, "test": 100})
    found = {"meta": {b"fine_label_names": [f"kind{k}" for k in range(100)],
                      b"coarse_label_names": [f"group{k}" for k in range(20)]}}  # fmt: skip
    for name, count in cifar100.IMAGES.items():
        fine = [k % 100 for k in range(count)]
        data = np.zeros((count, 3, 32, 32), np.uint8)
        data[:, 2] = np.array(fine)[:, None, None]  # the blue plane says the class
        labels = {b"fine_labels": fine, b"coarse_labels": [k // 5 for k in fine]}
        found[name] = {b"data": data.reshape(count, -1), b"filenames": ["x"] * count, **labels}
    return {name: pickle.dumps(batch, protocol=2) for name, batch in found.items()}


def archived(files, folder):
    with tarfile.open(folder / cifar100.ARCHIVE, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{cifar100.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def unpacked(files, folder):
    (folder / cifar100.FOLDER).mkdir()
    for name, content in files.items():
        (folder / cifar100.FOLDER / name).write_bytes(content)


@pytest.mark.parametrize("lay", [archived, unpacked])
def test_images_and_both_kinds_of_labels(lay, files, tmp_path):
    lay(files, tmp_path)
    data = datasets.load("cifar100")
    assert data.x_train.shape == (200, 32, 32, 3) and data.x_test.shape == (100, 32, 32, 3)
    assert (data.x_train[..., 2] == data.y_train[:, None, None]).all()
    assert not data.x_train[..., :2].any(), "red and green planes are where they were"
    assert data.classes[99] == "kind99" and data.content
    coarse = cifar100.load("coarse")
    assert len(coarse.classes) == 20 and (coarse.y_train == data.y_train // 5).all()


def test_what_is_missing_or_wrong_is_one_line(files, tmp_path):
    with pytest.raises(CourseError, match="prepare cifar100"):
        datasets.load("cifar100")
    unpacked(files | {"test": files["train"]}, tmp_path)
    with pytest.raises(CourseError, match="test holds other than 100 images") as error:
        datasets.load("cifar100")
    assert "\n" not in str(error.value)
    (tmp_path / cifar100.FOLDER / "meta").unlink()
    (tmp_path / cifar100.FOLDER / "meta").mkdir()  # what the system does not let be read
    with pytest.raises(CourseError, match="cannot read") as error:
        datasets.load("cifar100")
    assert "delete" not in str(error.value)
