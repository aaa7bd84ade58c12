from model_training.runs.code_version import code_fingerprint, code_version, fingerprint
from ulvspark import __version__


def test_the_fingerprint_changes_with_any_line_and_only_with_code(tmp_path):
    package = tmp_path / "checkout/package"
    (package / "room").mkdir(parents=True)
    (package / "room/a.py").write_text("x = 1\n")
    (package / "README.md").write_text("one")
    first = fingerprint([package])
    (package / "README.md").write_text("two")
    (package / "room/__pycache__").mkdir()
    (package / "room/__pycache__/a.pyc").write_bytes(b"compiled")
    assert fingerprint([package]) == first, "documents and compiled files are no code"
    elsewhere = tmp_path / "installed/package"
    package.parent.rename(elsewhere.parent)
    assert fingerprint([elsewhere]) == first, "the same code in another place"
    (elsewhere / "room/a.py").rename(elsewhere / "room/b.py")
    moved = fingerprint([elsewhere])
    (elsewhere / "room/b.py").write_text("x = 2\n")
    assert len({first, moved, fingerprint([elsewhere])}) == 3


def test_a_bundle_is_told_the_version_and_the_commit():
    assert code_version().startswith(__version__)
    assert code_fingerprint() == code_fingerprint()
