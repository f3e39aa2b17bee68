"""The entries that come with the service, and those of an operator's own folder."""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from service.domain.legal_basis import EntryRefused, Register, read_entry

ORDINARY: Final = "zending-ordinary"
REGISTERED: Final = "zending-registered"


@cache
def load(folder: Path | None = None) -> Register:
    """The register: what comes with the service, and the ``*.toml`` files of a folder.

    Raises:
        EntryRefused: a file is no entry; which one and what is wrong stand in ``detail``.
    """
    entries = []
    for name, raw in _files(folder):
        try:
            entries.append(read_entry(raw))
        except EntryRefused as error:
            raise EntryRefused(f"{name}: {error.detail}", context=error.context) from None
    return Register(entries)


def _files(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for file in sorted(resources.files(__package__).iterdir(), key=lambda each: each.name):
        if file.name.endswith(".toml"):
            yield file.name, file.read_bytes()
    if folder is not None:
        for path in sorted(folder.glob("*.toml")):
            yield path.name, path.read_bytes()
