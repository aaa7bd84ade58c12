"""Bundles in a folder, which several machines may share."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from ulvspark.contract.storage.disk import full_disk_as_expected_error
from ulvspark.model.bundle.files import verify
from ulvspark.model.bundle.manifest import MANIFEST
from ulvspark.model.bundle.store.interface import Store


class FolderStore(Store):
    """``versions/VERSION/`` and ``aliases/ALIAS``, a text file."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._versions, self._aliases = root / "versions", root / "aliases"

    def publish(self, folder: str | Path) -> str:
        version = verify(folder).version
        self._versions.mkdir(parents=True, exist_ok=True)
        doing = f"publishing bundle {version} in {self.root}"
        with full_disk_as_expected_error(doing), tempfile.TemporaryDirectory(prefix=".", dir=self._versions) as scratch:
            copy = shutil.copytree(folder, Path(scratch) / version)
            try:
                copy.rename(self._versions / version)
            except OSError:
                # Published before, or in this moment by someone else; equal versions have equal files.
                if not self.holds(version):
                    raise
        return version

    def fetch(self, name: str, into: str | Path) -> Path:
        return self._versions / self.resolve(name)

    def holds(self, version: str) -> bool:
        return (self._versions / version / MANIFEST).is_file()

    def _read_alias(self, alias: str) -> str | None:
        try:
            return (self._aliases / alias).read_text(encoding="utf-8").strip()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def _swap_alias(self, alias: str, version: str, expected: str | None) -> bool:
        self._aliases.mkdir(parents=True, exist_ok=True)
        with (self._aliases / ".lock").open("w") as lock:
            # The system releases the lock when this process ends, even if it is killed.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._read_alias(alias) != expected:
                return False
            new = self._aliases / f".{alias}.{os.getpid()}"
            new.write_text(f"{version}\n", encoding="utf-8")
            new.replace(self._aliases / alias)
            return True
