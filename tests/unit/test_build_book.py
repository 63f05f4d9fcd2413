import build_book
import pytest


@pytest.fixture
def root(tmp_path):
    for name in ("course_lib/models", "course_lib/__pycache__", "data/records/squeezenet"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "course_lib/models/resnet.py").write_text("depth = 20\n")
    (tmp_path / "course_lib/explorer.js").write_text("// draws\n")
    (tmp_path / "data/records/squeezenet/bn.json").write_text("{}\n")
    (tmp_path / "requirements.lock").write_text("keras==3\n")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "course_lib/models/resnet.py",
        "course_lib/explorer.js",
        "data/records/squeezenet/bn.json",
        "data/records/squeezenet/new.json",
        "data/weights/new.safetensors",
        "requirements.lock",
    ],
)
def test_what_decides_the_outputs_changes_the_fingerprint(root, name):
    before = build_book.fingerprint("builtin", root)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("changed\n")
    assert build_book.fingerprint("builtin", root) != before


def test_a_removed_or_renamed_record_changes_the_fingerprint(root):
    record = root / "data/records/squeezenet/bn.json"
    before = build_book.fingerprint("builtin", root)
    renamed = record.rename(record.with_name("plain.json"))
    other = build_book.fingerprint("builtin", root)
    renamed.unlink()
    assert len({before, other, build_book.fingerprint("builtin", root)}) == 3


def test_other_data_change_the_fingerprint_and_compiled_files_do_not(root):
    before = build_book.fingerprint("builtin", root)
    (root / "course_lib/__pycache__/resnet.cpython-311.pyc").write_bytes(b"\0")
    (root / "notes.txt").write_text("not a source\n")
    assert build_book.fingerprint("builtin", root) == before
    assert build_book.fingerprint("cifar10", root) != before


def test_executed_pages_are_kept_until_the_fingerprint_changes(tmp_path):
    stamp, cache, runs = tmp_path / "stamp", tmp_path / "cache", tmp_path / "runs"

    def kept(fingerprint):
        for folder in (cache, runs):
            folder.mkdir(exist_ok=True)
        build_book.drop_stale(fingerprint, stamp, [cache, runs])
        return cache.exists(), runs.exists()

    assert kept("first") == (False, False), "pages of unknown origin"
    assert kept("first") == (True, True)
    assert kept("second") == (False, False)
    assert kept("second") == (True, True)


def test_unknown_data_end_with_the_valid_names(capsys):
    with pytest.raises(SystemExit) as end:
        build_book.main(["--data", "imagenet"])
    assert end.value.code == 2
    assert "builtin, cifar10" in capsys.readouterr().err.replace("'", "")
