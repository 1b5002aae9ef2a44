"""Evidence files in a folder, named by what they contain."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from hexi.adapters.durable import sync, write_private

_DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedFileError(Exception):
    """A file no longer contains what its name says."""


class FileStore:
    """``kernel.ports.Files``: ``ab/abcd...`` holds the bytes, ``ab/abcd....type`` their content type."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes, content_type: str) -> str:
        """Keep a file durably; returns its SHA-256 in hexadecimal. OSError when the disk refuses."""
        digest = sha256(content).hexdigest()
        path = self._path(digest)
        if not _holds(path, content):
            if not path.parent.exists():
                path.parent.mkdir(exist_ok=True)
                sync(self._folder)
            write_private(path.with_suffix(".type"), content_type.encode())
            write_private(path, content)
        return digest

    def get(self, digest: str) -> tuple[bytes, str]:
        """Content and content type; KeyError when there is none, DamagedFileError when it has changed."""
        if not _DIGEST.fullmatch(digest):
            raise KeyError(digest)
        path = self._path(digest)
        try:
            content, content_type = path.read_bytes(), path.with_suffix(".type").read_text()
        except FileNotFoundError as error:
            raise KeyError(digest) from error
        if sha256(content).hexdigest() != digest:
            raise DamagedFileError(f"{path} does not contain what its name says")
        return content, content_type

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file is there and whole; a damaged one is written again."""
    return path.exists() and path.read_bytes() == content
