"""What `make verify` says and how it ends; what it looks at has tests of its own."""

import pytest
import verify


@pytest.mark.parametrize("broken", ["check_records", "check_weights", "check_book"])
def test_a_check_that_breaks_is_a_fault_and_hides_no_other(monkeypatch, capsys, broken):
    monkeypatch.setattr("sys.argv", ["verify"])
    for name in ("check_records", "check_weights", "check_book"):

        def check(folder, name=name):
            if name == broken:
                raise RuntimeError("no more")
            return 1, [f"a fault of {name}"]

        check.__name__ = name
        monkeypatch.setattr(verify, name, check)
    assert verify.main() == 1
    said = capsys.readouterr()
    assert f"{broken} broke: RuntimeError: no more" in said.err
    assert said.err.count("a fault of") == 2 and "3 faults" in said.out


def test_without_faults_it_ends_well(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["verify"])
    for name in ("check_records", "check_weights", "check_book"):
        monkeypatch.setattr(verify, name, lambda folder: (2, []))
    assert verify.main() == 0
    assert "0 faults" in capsys.readouterr().out
