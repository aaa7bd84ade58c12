"""The files of a bundle on disk: compared with the manifest's checksums, each at most once in a process."""

from pathlib import Path

from ulvspark.contract.errors import ExpectedError
from ulvspark.history.numbers import check_numbers
from ulvspark.model.bundle.checksums import files_below, sha256
from ulvspark.model.bundle.manifest import MANIFEST, Manifest, read_manifest


class BundleFiles:
    """A bundle's folder and manifest. Whoever reads a file asks for its path here, which checks the file first."""

    def __init__(self, folder: str | Path) -> None:
        """Raises ExpectedError where the manifest is unreadable, or a file is missing or unknown to it."""
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        self._checked: set[str] = set()
        present = set(files_below(self.folder)) - {MANIFEST}
        for name in sorted(present ^ self.manifest.files.keys()):
            path = self.folder / name
            if name in present:
                raise ExpectedError(f"{path}: not part of the bundle; remove it or fetch the bundle again")
            raise ExpectedError(f"{path}: missing from the bundle; fetch the bundle again")

    def checked(self, *names: str) -> Path:
        """The bundle's folder, after files (or folders with all their files) have been checked; absent ones are not.

        Raises ExpectedError naming the first file whose checksum differs.
        """
        wanted = {file for file in self.manifest.files if any(file == n or file.startswith(f"{n}/") for n in names)}
        for file in sorted(wanted - self._checked):
            if sha256(self.folder / file) != self.manifest.files[file]:
                raise ExpectedError(f"{self.folder / file}: corrupted, its checksum differs; fetch the bundle again")
            self._checked.add(file)
        return self.folder

    def all_checked(self) -> Path:
        """The bundle's folder, after every file has been checked."""
        return self.checked(*self.manifest.files)


def open_bundle(folder: str | Path) -> BundleFiles:
    """The files of a bundle that this code can score with.

    Raises ExpectedError as ``BundleFiles`` does, and where this code computes other numbers than the bundle reads.
    """
    files = BundleFiles(folder)
    manifest = files.manifest
    remedy = f"score with the code that made it ({manifest.code_version}) or train a new bundle with this code"
    check_numbers(manifest.numbers, manifest.numbers_version, manifest.history, f"bundle {folder}", remedy)
    return files


def verify(folder: str | Path) -> Manifest:
    """Compare every file of a bundle with its manifest. Raises ExpectedError naming the first that differs."""
    files = BundleFiles(folder)
    files.all_checked()
    return files.manifest
