"""What every store of bundles can do, and what is the same for folders and S3."""

import logging
import re
from abc import ABC, abstractmethod
from pathlib import Path

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import VERSION_PATTERN

logger = logging.getLogger(__name__)

ALIAS_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Store(ABC):
    """Published bundles by version, and aliases that are moved by compare-and-swap."""

    root: str

    @abstractmethod
    def publish(self, folder: str | Path) -> str:
        """Copy a bundle in, which others can read once all of it is there, and return its version.

        A version that was published before is left alone. Raises ExpectedError where the bundle is incomplete or
        corrupted.
        """

    @abstractmethod
    def fetch(self, name: str, into: str | Path) -> Path:
        """The folder of a version or alias on this machine, downloaded below ``into`` where the store is remote.

        Raises ExpectedError where there is no such version or alias, or a downloaded file is corrupted.
        """

    @abstractmethod
    def holds(self, version: str) -> bool:
        """Whether a bundle of this version is there."""

    def resolve(self, name: str) -> str:
        """The version that a version or alias stands for. Raises ExpectedError where there is none."""
        version = name if VERSION_PATTERN.fullmatch(name) else self.current(name)
        if version is None:
            raise ExpectedError(f"{self.root}: no alias {name!r}; publish a bundle and point the alias at it first")
        if not self.holds(version):
            raise ExpectedError(f"{self.root}: no bundle of version {version}; publish it first")
        return version

    def current(self, alias: str) -> str | None:
        """The version that an alias stands for; None where there is no such alias."""
        return self._read_alias(alias) if ALIAS_PATTERN.fullmatch(alias) else None

    def point(self, alias: str, version: str, expected: str | None) -> None:
        """Move ``alias`` to ``version`` if it still stands for ``expected`` (None: if it does not exist).

        Raises ExpectedError where the version is not there, or another writer has moved the alias.
        """
        if VERSION_PATTERN.fullmatch(alias) or not ALIAS_PATTERN.fullmatch(alias):
            raise ExpectedError(f"{alias!r} cannot be an alias; use letters, digits, dots and dashes, such as champion")
        self.resolve(version)
        if not self._swap_alias(alias, version, expected):
            raise ExpectedError(
                f"{self.root}: alias {alias!r} stands for {self._read_alias(alias)}, not for {expected} as expected;"
                " someone moved it meanwhile, so look at it and try again"
            )
        logger.info("%s: alias %s moved from %s to %s", self.root, alias, expected, version)

    @abstractmethod
    def _read_alias(self, alias: str) -> str | None:
        """The version that a valid alias stands for; None where there is no such alias."""

    @abstractmethod
    def _swap_alias(self, alias: str, version: str, expected: str | None) -> bool:
        """Compare-and-swap; False where the alias did not stand for ``expected``."""
