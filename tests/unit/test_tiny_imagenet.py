"""Tiny ImageNet's conversion on small folders of the same layout, made here."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from course_lib import datasets, settings
from course_lib.datasets import hdf5, synthetic_tiny, tiny_imagenet, tiny_imagenet_source
from course_lib.settings import CourseError

# Not in the order of wnids.txt, nor in that of words.txt.
WNIDS = ("n02000003", "n02000001", "n02000002")
EACH, VALIDATION, TEST = 6, 3, 2  # images of a class: for training and test, validation, test
PARTS = {"train": (EACH - TEST) * 3, "val": VALIDATION * 3, "test": TEST * 3}


def jpeg(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def fill(folder, wnids=WNIDS, each=EACH):
    rng = np.random.default_rng(0)

    def draw(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)))

    lines = []
    for wnid in wnids:
        for number in range(each):
            draw(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("not read\n")
        for _ in range(VALIDATION):
            draw(folder / "val" / "images" / f"val_{len(lines)}.JPEG")
            lines.append(f"val_{len(lines)}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(wnids))
    words = [f"{wnid}\tthing {wnid[-1]}, other name\n" for wnid in sorted(wnids, reverse=True)]
    (folder / "words.txt").write_text("n00000001\tentity\n" + "".join(words))
    return folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data folder, with a small tiny-imagenet-200 in it; no server is asked."""
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(tiny_imagenet_source, "URL", "http://127.0.0.1:9/tiny-imagenet-200.zip")
    monkeypatch.setenv("NO_PROXY", "*")
    fill(tmp_path / "data" / tiny_imagenet_source.FOLDER)
    return tmp_path / "data"


def prepare(data=None):
    return tiny_imagenet.prepare(data, TEST)


def load(in_memory=None, data=None):
    return tiny_imagenet.load(in_memory, data=data, test_per_class=TEST)


def pack(data, monkeypatch):
    """The folder as an archive in its place, whose hash is made to fit."""
    source = data / tiny_imagenet_source.FOLDER
    archive = source.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(source.rglob("*"), reverse=True):
            packed.write(file, file.relative_to(data))
    shutil.rmtree(source)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(tiny_imagenet_source, "MD5", md5)
    monkeypatch.setattr(tiny_imagenet_source, "ARCHIVE_BYTES", archive.stat().st_size)
    return archive


Stored = namedtuple("Stored", "images labels files attributes")


def stored(folder, part):
    with h5py.File(folder / f"{part}.hdf5") as file:
        files = [name.decode() for name in file["files"]]
        return Stored(file["images"][:], file["labels"][:], files, dict(file.attrs))


def same(one, other):
    for a, b in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(a, b)


def tree(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


# What is made of the images


def test_the_parts_hold_what_the_folder_holds(data):
    folder = prepare()
    assert folder == data / "tiny-imagenet"
    assert tree(folder) == ["means.json", "seconds.json", "test.hdf5", "train.hdf5", "val.hdf5"]
    seen, source = [], data / tiny_imagenet_source.FOLDER
    annotations = dict(
        line.split("\t")[:2]
        for line in (source / "val" / "val_annotations.txt").read_text().splitlines()
    )
    for part, count in PARTS.items():
        images, labels, files, attributes = stored(folder, part)
        assert images.shape == (count, 64, 64, 3) and images.dtype == np.uint8
        assert list(attributes["wnids"]) == sorted(WNIDS)
        assert list(attributes["classes"]) == ["thing 1", "thing 2", "thing 3"]
        assert attributes["split"] == part and attributes["training_images_per_class"] == 4
        for image, label, file in zip(images, labels, files, strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(source / file)))
            wnid = annotations[Path(file).name] if part == "val" else file.split("/")[1]
            assert sorted(WNIDS)[label] == wnid
        assert set(np.bincount(labels)) == {count // 3}
        seen += files
    wanted = [p.relative_to(source).as_posix() for p in source.rglob("*.JPEG")]
    assert sorted(seen) == sorted(wanted), "every image is in one part"


def test_the_split_is_scikit_learns_of_the_sorted_names(data):
    # train_test_split(range(18), test_size=6, stratify=[0] * 6 + [1] * 6 + [2] * 6,
    # random_state=42)[1], of scikit-learn 1.9; image k is image k % 6 of class k // 6.
    expected = {0: (3, 4), 1: (4, 5), 2: (2, 5)}
    assert stored(prepare(), "test").files == [
        f"train/{wnid}/images/{wnid}_{number}.JPEG"
        for label, wnid in enumerate(sorted(WNIDS))
        for number in expected[label]
    ]


def test_colours_are_in_the_order_of_rgb():
    pixels = np.full((64, 64, 3), (250, 120, 10), np.uint8)
    decoded = tiny_imagenet.decode(jpeg(pixels, quality=95)).astype(int)
    assert abs(decoded - pixels).max() < 8


def test_grey_images_become_rgb():
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) // 16
    decoded = tiny_imagenet.decode(jpeg(grey.astype(np.uint8), quality=95))
    assert decoded.shape == (64, 64, 3) and abs(decoded.astype(int) - grey[..., None]).max() < 8
    assert (decoded == decoded[..., :1]).all()


def test_means_are_those_of_the_training_images(data):
    folder = prepare()
    means = json.loads((folder / "means.json").read_text())
    expected = stored(folder, "train").images.mean((0, 1, 2))
    assert list(means) == ["R", "G", "B"]
    np.testing.assert_allclose(list(means.values()), expected, rtol=1e-12)


def test_the_source_hash_is_what_sha256sum_says(data):
    source = data / tiny_imagenet_source.FOLDER
    names = [*source.rglob("*.JPEG"), source / "wnids.txt", source / "words.txt"]
    names.append(source / "val" / "val_annotations.txt")
    names = sorted(path.relative_to(source).as_posix() for path in names)
    lines = [f"{hashlib.sha256((source / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    folder = prepare()
    assert {stored(folder, part).attributes["source_sha256"] for part in PARTS} == {expected}


def test_an_archive_gives_what_its_folder_gives(data, monkeypatch):
    one = prepare().rename(data / "from the folder")
    pack(data, monkeypatch)
    other = prepare()
    for part in PARTS:
        same(stored(one, part), stored(other, part))
    hashes = [stored(f, "test").attributes["source_sha256"] for f in (one, other)]
    assert hashes[0] == hashes[1]
    assert tree(data) == ["from the folder", "tiny-imagenet", "tiny-imagenet-200.zip"]


def test_the_order_of_files_in_a_folder_does_not_matter(data, monkeypatch):
    order = reversed
    one = prepare().rename(data / "before")
    walk = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *a, **k: [(f, d, order(n)) for f, d, n in order(list(walk(*a, **k)))]
    )
    annotations = data / tiny_imagenet_source.FOLDER / "val" / "val_annotations.txt"
    annotations.write_text("\n".join(order(annotations.read_text().splitlines())))
    other = prepare()
    for part in PARTS:
        same(stored(one, part), stored(other, part))


def test_files_that_are_no_images_of_a_class_are_left_alone(data):
    one = prepare().rename(data / "before")
    train = data / tiny_imagenet_source.FOLDER / "train"
    (train / ".DS_Store").write_text("")
    (train / WNIDS[0] / "images" / "._n0_0.JPEG").write_text("")
    (train / WNIDS[0] / "images" / "notes.txt").write_text("")
    shutil.copytree(train / WNIDS[0], train / "n09999999")
    other = prepare()
    for part in PARTS:
        same(stored(one, part), stored(other, part))


# Memory or file


@pytest.mark.parametrize(("pages", "kind"), [(2**30, np.ndarray), (60, hdf5.Images)])
def test_images_are_read_into_memory_where_there_is_room(data, pages, kind, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: pages)
    assert isinstance(load().x_train, kind)


# Faults of the source


def fails(says, *named):
    """prepare() fails, names the file, and leaves nothing behind."""
    data = settings.data_dir()
    before = tree(data)
    with pytest.raises(CourseError, match=says) as error:
        prepare()
    message = str(error.value)
    assert "\n" not in message and all(name in message for name in named), message
    assert tree(data) == before


VICTIM = f"train/{WNIDS[1]}/images/{WNIDS[1]}_3.JPEG"
WHOLE = jpeg(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
SMALL = jpeg(np.zeros((32, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "says", "archive"),
    [
        (VICTIM, WHOLE[:-20], "is truncated", False),
        (VICTIM, WHOLE[: len(WHOLE) // 2], "is truncated", True),
        (VICTIM, b"", "no JPEG", False),
        ("val/images/val_4.JPEG", SMALL, "has 64x32 pixels, not 64x64", False),
    ],
    ids=["end", "half, in an archive", "empty", "size"],
)
def test_a_bad_jpeg_is_named(data, name, content, says, archive, monkeypatch):
    (data / tiny_imagenet_source.FOLDER / name).write_bytes(content)
    if archive:
        pack(data, monkeypatch)
    fails(says, name, tiny_imagenet_source.FOLDER)


@pytest.mark.parametrize(
    ("name", "archive"),
    [("wnids.txt", True), ("words.txt", False), ("val/val_annotations.txt", False),
     ("val/images/val_4.JPEG", False), ("val/images/val_4.JPEG", True)],
)  # fmt: skip
def test_a_missing_file_is_named(data, name, archive, monkeypatch):
    (data / tiny_imagenet_source.FOLDER / name).unlink()
    if archive:
        pack(data, monkeypatch)
    fails("is missing", name)


WRONG_TEXTS = [
    ("val/val_annotations.txt", lambda lines: [lines[0], "val_4.JPEG\tn09999999", *lines[2:]]),
    ("val/val_annotations.txt", lambda lines: [lines[0], "", *lines[2:]]),
    ("val/val_annotations.txt", lambda lines: lines[:-1]),
    ("words.txt", lambda lines: [line.replace(WNIDS[1], "n00000000") for line in lines]),
    ("wnids.txt", lambda lines: [*lines, lines[0]]),
    ("val/val_annotations.txt", lambda lines: [*lines[:-1], lines[0]]),
]


@pytest.mark.parametrize(("name", "change"), WRONG_TEXTS)
def test_a_text_that_does_not_fit_is_named(data, name, change):
    file = data / tiny_imagenet_source.FOLDER / name
    file.write_text("\n".join(change(file.read_text().splitlines())))
    fails(name, name)


@pytest.mark.parametrize(
    ("left", "says"), [(0, "has 0 images where 6"), (5, "has 5 images where 6")]
)
def test_a_class_with_fewer_images_is_an_error(data, left, says):
    folder = data / tiny_imagenet_source.FOLDER / "train" / WNIDS[2]
    for number in range(left, EACH):
        (folder / "images" / f"{WNIDS[2]}_{number}.JPEG").unlink()
    fails(says, f"train/{WNIDS[2]}/images")


def test_a_class_with_more_images_is_the_odd_one(data):
    image = data / tiny_imagenet_source.FOLDER / VICTIM
    shutil.copy(image, image.with_stem(f"{image.stem} 2"))
    fails("has 7 images where 6", f"train/{WNIDS[1]}/images")


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "cp1252"])
def test_texts_that_an_editor_has_saved_and_odd_names_are_read(data, coding):
    source = data / tiny_imagenet_source.FOLDER
    for name in ("wnids.txt", "words.txt", tiny_imagenet_source.ANNOTATIONS):
        text = (source / name).read_text().replace("thing 2", "café")
        (source / name).write_bytes(text.encode(coding))
    odd = ["é", os.fsdecode("é".encode("latin1"))]  # the second is no Unicode
    for number, name in enumerate(odd):
        image = source / VICTIM
        image.with_stem(f"{WNIDS[1]}_{number}").rename(image.with_stem(name))
    folder = prepare()
    assert load().classes == ("thing 1", "café", "thing 3")
    with h5py.File(folder / "train.hdf5") as train, h5py.File(folder / "test.hdf5") as test:
        names = [os.fsdecode(name) for file in (train, test) for name in file["files"]]
    assert {Path(name).stem for name in names} >= set(odd)


@pytest.mark.parametrize("closed", ["walk", "open"])
def test_what_the_system_keeps_closed_is_not_to_be_deleted(data, monkeypatch, closed):
    error = PermissionError(13, "Permission denied", str(data / VICTIM))

    def walk(*_, onerror, **__):
        onerror(error)

    def refuse(source, name):
        raise error

    if closed == "walk":
        monkeypatch.setattr(os, "walk", walk)
    else:
        monkeypatch.setattr(tiny_imagenet_source, "_opened", refuse)
    with pytest.raises(CourseError, match="Permission denied; mend that") as caught:
        prepare()
    assert VICTIM in str(caught.value) and "delete" not in str(caught.value)


def test_an_image_that_unpacks_to_gigabytes_is_not_unpacked(data, monkeypatch):
    monkeypatch.setattr(tiny_imagenet_source, "MAX_FILE_BYTES", 2**20)
    (data / tiny_imagenet_source.FOLDER / VICTIM).write_bytes(bytes(2**26))
    archive = pack(data, monkeypatch)
    assert archive.stat().st_size < 2**20
    tracemalloc.start()
    fails("is larger than 1,048,576 bytes", VICTIM)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**25


def test_no_images_and_no_server_say_what_to_put_where(data):
    shutil.rmtree(data / tiny_imagenet_source.FOLDER)
    fails("put the file tiny-imagenet-200.zip with MD5 90528d7ca1a48142", str(data))


def test_an_archive_that_is_not_the_published_one_is_an_error(data, monkeypatch):
    archive = pack(data, monkeypatch)
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("tiny-imagenet-200/more.txt", "more")
    fails("its MD5 is not", str(archive))


# Faults of the target


def test_too_little_room_is_an_error_before_anything_is_written(data, monkeypatch):
    usage = shutil.disk_usage(data)._replace(free=300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(hdf5, "create", lambda *_: pytest.fail("something was written"))
    fails(r"0.00 GB are needed; make room there", str(data / "tiny-imagenet"))


def run(code, data, **options):
    """Python code in a process of its own, after `t` is tiny_imagenet; its Popen."""
    code = f"import os, signal, sys\nfrom course_lib.datasets import tiny_imagenet as t\n{code}"
    environment = {**os.environ, "COURSE_DATA_DIR": str(data), "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=settings.ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize(
    ("limit", "few"), [(100_000, 0), (152_000, 10_000)], ids=["images, by workers", "labels"]
)
def test_a_disk_that_fills_up_is_an_error(data, limit, few):
    # A limit on the size of a file stands for a full disk: the system refuses to write.
    process = run(
        f"import resource\nt.FEW = {few}\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"from course_lib.settings import CourseError\n"
        f"try: t.prepare(None, {TEST})\n"
        f"except CourseError as error: print(error, file=sys.stderr); sys.exit(7)",
        data,
    )
    _, said = process.communicate(timeout=120)
    assert process.returncode == 7, said
    assert f"cannot write {data / 'tiny-imagenet'}: " in said and "make room" in said
    assert len(said.splitlines()) == 1
    assert tree(data) == [tiny_imagenet_source.FOLDER]


# Interrupted, and two at once


def test_a_finished_file_is_never_touched(data):
    folder = prepare()
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}
    shutil.rmtree(data / tiny_imagenet_source.FOLDER)
    assert prepare() == folder
    load()
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()} == before


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
PLACES = {
    "completing": "t.hdf5.finish = after(t.hdf5.finish)",
    "before the end": "os.rename = kill",
    "at the end": "os.rename = after(os.rename)",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_after_kill_9_the_next_call_starts_over_cleanly(data, tmp_path, place):
    process = run(
        f"def kill(*_): {KILL}\n"
        f"def after(f): return lambda *a: (f(*a), kill())\n"
        f"{place}\nt.prepare(None, {TEST})",
        data,
    )
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    finished = (data / "tiny-imagenet").exists()
    assert finished == (place == PLACES["at the end"])
    folder = prepare()
    assert tree(folder) == ["means.json", "seconds.json", "test.hdf5", "train.hdf5", "val.hdf5"]
    other = tmp_path / "other"
    other.mkdir()
    (other / tiny_imagenet_source.FOLDER).symlink_to(data / tiny_imagenet_source.FOLDER)
    undisturbed = prepare(other)
    for part in PARTS:
        same(stored(folder, part), stored(undisturbed, part))
    left = [] if not finished else [p for p in tree(data) if p.startswith(".")]
    assert tree(data) == [*left, "tiny-imagenet", "tiny-imagenet-200"]


@pytest.mark.slow
def test_two_at_once_convert_once(data):
    slow = "import time; p = t.published; plan = p.plan; p.plan = lambda *a: (print('at work', "
    slow += "file=sys.stderr, flush=True), time.sleep(3), plan(*a))[2]\n"
    processes = [run(f"{slow}t.prepare(None, {TEST})", data) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sorted(text.strip() for text in said) == [
        "at work",
        f"waiting for another process that writes to {data}",
    ]
    assert tree(data) == ["tiny-imagenet", "tiny-imagenet-200"]
    load()


# Several processes


@pytest.mark.slow
def test_a_script_that_does_not_ask_whether_it_is_the_main_one_ends(data, tmp_path):
    script = tmp_path / "script.py"
    call = f"t.FEW = 0; print(t.prepare(None, {TEST}))"
    script.write_text(f"from course_lib.datasets import tiny_imagenet as t; {call}")
    for words, text in (([script], None), (["-"], script.read_text())):
        done = subprocess.run(
            [sys.executable, *words], input=text, cwd=settings.ROOT, capture_output=True,
            text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(settings.ROOT)},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, f"{data / 'tiny-imagenet'}\n"), done.stderr
        shutil.rmtree(data / "tiny-imagenet")


@pytest.mark.slow
def test_workers_write_what_one_process_writes(data, monkeypatch):
    one = prepare().rename(data / "alone")
    monkeypatch.setattr(tiny_imagenet, "FEW", 0)
    monkeypatch.setattr(tiny_imagenet, "BLOCK", 5)
    other = prepare()
    for name in tree(one):
        if name.endswith("hdf5"):
            same(stored(one, name[:-5]), stored(other, name[:-5]))
        elif name != "seconds.json":
            assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.slow
def test_a_workers_error_names_the_file(data, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "FEW", 0)
    (data / tiny_imagenet_source.FOLDER / VICTIM).write_bytes(WHOLE[:100])
    fails("is truncated", VICTIM)


def children(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True)
    return [int(child) for child in listed.stdout.split()]


def running(pid):
    """Is there such a process, and is it more than an entry that nobody has collected?"""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True)
    return listed.stdout.strip()[:1] not in (b"", b"Z")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ps") or sys.platform == "win32", reason="needs ps")
@pytest.mark.parametrize(("number", "left"), [(signal.SIGKILL, True), (signal.SIGINT, False)])
def test_workers_end_with_their_parent(data, number, left):
    process = run(
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "t.FEW, t.BLOCK = 0, 5\n"
        "class Bar(t.tqdm):\n"
        "    def update(self, n):\n"
        "        import time; print('at work', file=sys.stderr, flush=True); time.sleep(60)\n"
        f"t.tqdm = Bar\nt.prepare(None, {TEST})",
        data,
    )
    try:
        assert process.stderr.readline() == "at work\n"
        workers = children(process.pid)
        assert len(workers) >= min(2, os.cpu_count())
        os.kill(process.pid, number)
        process.communicate(timeout=60)
        assert any(n.startswith(".tiny-imagenet-") for n in tree(data)) == left
    finally:
        process.kill()
    deadline = time.monotonic() + 30
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, workers))
    prepare()


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error(data, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "FEW", 0)
    monkeypatch.setattr(tiny_imagenet, "_depend_on_parent", os.abort)
    fails("terminated abruptly", str(data / "tiny-imagenet"))


# Faults of what was prepared


def test_a_damaged_part_is_named_with_its_remedy(data):
    folder, part = prepare(), "val"
    os.truncate(folder / f"{part}.hdf5", 50_000)
    for call in (prepare, load):
        with pytest.raises(CourseError, match=f"{part}.hdf5 .*delete the folder {folder} and run"):
            call()


def test_parts_of_different_sources_are_an_error(data):
    folder = prepare()
    with h5py.File(folder / "val.hdf5", "r+") as file:
        file.attrs["source_sha256"] = "0" * 64
    with pytest.raises(CourseError, match="are of different images; delete the folder"):
        load()


# The miniature drawn by code


def test_the_content_is_that_of_the_files_and_costs_nothing(data, monkeypatch):
    content = stored(prepare(), "train").attributes["source_sha256"]
    monkeypatch.setattr(hashlib, "sha256", lambda *_: pytest.fail("hashed"))
    assert load().content == content


def test_the_drawn_miniature_goes_the_same_way(tmp_path, monkeypatch):
    prints = []
    for place in "ab":
        monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / place))
        data = datasets.load("synthetic-tiny")
        prints.append(data.fingerprint())
        monkeypatch.setattr(synthetic_tiny, "draw", lambda _: pytest.fail("drawn again"))
        assert datasets.load("synthetic-tiny").fingerprint() == prints[-1]
        monkeypatch.undo()
    assert prints[0] == prints[1], "the same wherever it is drawn"
    assert data.name == "synthetic-tiny" and len(set(data.classes)) == 20
    for part, each in (("train", 10), ("val", 5), ("test", 5)):
        images, labels = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert images.shape == (20 * each, 64, 64, 3)
        assert (np.bincount(labels, minlength=20) == each).all()
    assert tree(tmp_path / "b" / "synthetic-tiny") == ["tiny-imagenet", "tiny-imagenet-200"]


# The real images


@pytest.fixture(scope="module")
def real():
    source = settings.data_dir() / tiny_imagenet_source.FOLDER
    if not source.is_dir():
        pytest.skip("no tiny-imagenet-200 in COURSE_DATA_DIR")
    return source


@pytest.mark.slow
def test_the_real_images_are_split_as_the_article_splits_them(real):
    wnids, classes, parts = tiny_imagenet_source.plan(real, tiny_imagenet.TEST_PER_CLASS)
    per_class = len(list((real / "train" / wnids[0] / "images").iterdir()))
    sizes = {part: len(images) for part, images in parts.items()}
    assert sizes == {"train": 200 * (per_class - 50), "val": 10_000, "test": 10_000}
    assert len(set(classes)) == len(wnids) == 200 and classes[0] == "goldfish"
    for images in parts.values():
        assert len(set(np.bincount([label for label, _ in images]))) == 1
    for _, name in parts["val"][::500]:
        pixels = tiny_imagenet.decode((real / name).read_bytes())
        np.testing.assert_array_equal(pixels, Image.open(real / name).convert("RGB"))
