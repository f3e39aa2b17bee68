"""Batches for a simulated print house, a house over two folders, and what it told."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from printing import exchange
from printing.batch import BatchLetter, merge
from printing.exchange import Message, read_name
from printing.manifest import BatchKey, Manifest, ManifestLetter, describe_file, file_name, pack
from printing.profiles import load
from printing.simulator.house import Manner, PrintHouse
from tests.printing_support import batch_letter, document, letter

BEGUN = datetime(2026, 11, 23, 17, 50, tzinfo=UTC)
KEY = BatchKey("house", "letter", colour=True, duplex=True, envelope="C5/6", registered=None, language="nl")


@cache
def _made() -> tuple[BatchLetter, ...]:
    return tuple(batch_letter(number, letter(document(f"Brief {number}"))) for number in range(3))


def letters(count: int, **changes: Any) -> list[BatchLetter]:
    """Letters with sheet codes, called ``let_0`` and so on."""
    made = []
    for number in range(count):
        base = _made()[number % len(_made())]
        entry = replace(base.entry, id=f"let_{number}", set=f"{number:012}", sequence=number, **changes)
        made.append(replace(base, entry=entry))
    return made


def package(number: int, letters: Iterable[BatchLetter], **changes: Any) -> tuple[str, bytes]:
    """A batch's name and its bytes."""
    return pack_up(number, *merged(letters), **changes)


def merged(letters: Iterable[BatchLetter]) -> tuple[list[ManifestLetter], bytes]:
    """The manifest's entries, and the PDF."""
    pdf = BytesIO()
    entries = merge(letters, pdf, profile=load())
    return list(entries), pdf.getvalue()


def pack_up(number: int, entries: Iterable[ManifestLetter], pdf: bytes, **changes: Any) -> tuple[str, bytes]:
    """Likewise, of what was merged before."""
    entries = tuple(entries)
    file = describe_file("letters.pdf", BytesIO(pdf), entries)
    manifest = replace(Manifest(number, "VOORBEEL", BEGUN, KEY, (file,), entries), **changes)
    out = BytesIO()
    pack(manifest, {"letters.pdf": BytesIO(pdf)}, out)
    return file_name("VOORBEEL", number, BEGUN), out.getvalue()


@dataclass
class Place:
    """A house with its folders and its clock."""

    root: Path
    manner: dict[str, Any] = field(default_factory=dict)
    now: datetime = BEGUN

    def __post_init__(self) -> None:
        for folder in (self.out, self.told):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def told(self) -> Path:
        return self.root / "in"

    @contextmanager
    def house(self, call: Callable[[bytes], bool] | None = None) -> Iterator[PrintHouse]:
        """The house, as after a restart."""
        manner = Manner(clock=lambda: self.now, day=86_400, **self.manner)
        made = PrintHouse(self.out, self.told, self.root / "house", manner, call)
        try:
            yield made
        finally:
            made.close()

    def bring(self, name: str, data: bytes) -> None:
        temporary = self.out / (name + ".part")
        temporary.write_bytes(data)
        os.replace(temporary, self.out / name)  # noqa: PTH105

    def days(self, count: float, house: PrintHouse) -> list[str]:
        """Let so many days go by, a quarter of a day at a time; what the house said."""
        said = []
        for _ in range(int(count * 4)):
            self.now += timedelta(hours=6)
            said += house.round()
        return said

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.told.iterdir())}

    def messages(self) -> list[Message]:
        """Everything it told by JSON, in the order of its names."""
        return [exchange.decode(data) for name, data in self.files().items() if name.endswith(".JSON")]

    def scans(self) -> list[exchange.Scan]:
        """The pictures it told of."""
        found: list[exchange.Scan] = []
        for data in (data for name, data in self.files().items() if name.endswith(".ZIP")):
            with zipfile.ZipFile(BytesIO(data)) as archive:
                index = exchange.decode(archive.read(exchange.INDEX))
            assert isinstance(index, exchange.Scans)
            found += index.scans
        return found

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.messages() if isinstance(message, kind)]


def well_named(name: str) -> bool:
    return read_name(name) is not None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
