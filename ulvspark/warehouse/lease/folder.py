"""Leases in a folder, which several machines may share: every record is a file that is created exclusively."""

import os
import re
import uuid
from pathlib import Path

from ulvspark.warehouse.lease.record import Record

FOLDER = "_leases"


class FolderPlace:
    """Files ``_leases/NAME.GENERATION.json``; of a name, the highest generation counts, and its number is the tag.

    Making a hard link to a new name is exclusive on shared file systems too, and the file is whole when it appears.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = Path(root, FOLDER)

    def read(self, name: str) -> tuple[Record, str] | None:
        while (generation := max(self._generations(name), default=None)) is not None:
            try:
                text = self._file(name, generation).read_text(encoding="utf-8")
            except FileNotFoundError:
                continue  # A newer one has just replaced it.
            return Record.from_json(text), str(generation)
        return None

    def swap(self, name: str, record: Record, tag: str | None) -> str | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        generation = int(tag or 0) + 1
        if not self._create(self._file(name, generation), record.to_json()):
            return None
        generations = self._generations(name)
        if max(generations) != generation:
            # Others had gone on and cleared this generation away before it was created here.
            self._file(name, generation).unlink(missing_ok=True)
            return None
        for older in generations - {generation}:
            self._file(name, older).unlink(missing_ok=True)
        return str(generation)

    def _create(self, file: Path, text: str) -> bool:
        draft = self._folder / f".{file.name}.{uuid.uuid4().hex}"
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, file)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _generations(self, name: str) -> set[int]:
        pattern = re.compile(rf"{name}\.(\d+)\.json")
        try:
            files = [file.name for file in self._folder.iterdir()]
        except FileNotFoundError:
            return set()
        return {int(match[1]) for match in map(pattern.fullmatch, files) if match}

    def _file(self, name: str, generation: int) -> Path:
        return self._folder / f"{name}.{generation}.json"
