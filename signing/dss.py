"""The document security store: what a PDF carries so that its signatures can be judged later (EN 319 142-1, 5.4.2)."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import zlib
from functools import lru_cache
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.revocation import ValidationData

_KINDS = ("/Certs", "/OCSPs", "/CRLs")
_WORTH_KEEPING = 64 * 1024


def add_validation_data(writer: IncrementalPdfFileWriter, data: ValidationData) -> bool:
    """Put what is new in ``data`` into the document's store; what others put there stays.

    No entries per signature (VRI): the standard advises against them, and nothing reads them that we know.

    Returns:
        Whether anything was new.
    """
    store = _dictionary(writer.root, "/DSS")
    wanted = dict(zip(_KINDS, (data.certificates, data.ocsps, data.crls), strict=True))
    fresh = {kind: _missing(store, kind, pieces) for kind, pieces in wanted.items()}
    if not any(fresh.values()):
        return False
    if store is None:
        store = generic.DictionaryObject({generic.pdf_name("/Type"): generic.pdf_name("/DSS")})
        writer.root[generic.pdf_name("/DSS")] = writer.add_object(store)
        writer.update_root()
    else:
        writer.update_container(store)
    for kind, pieces in fresh.items():
        if pieces:
            there = list(_array(store, kind))
            added = [writer.add_object(_stream(piece)) for piece in pieces]
            store[generic.pdf_name(kind)] = generic.ArrayObject([*there, *added])
    return True


def _missing(store: generic.DictionaryObject | None, kind: str, pieces: tuple[bytes, ...]) -> list[bytes]:
    there = set() if store is None else {entry.get_object().data for entry in _array(store, kind)}
    return [piece for piece in pieces if piece not in there]


def _dictionary(parent: generic.DictionaryObject, key: str) -> generic.DictionaryObject | None:
    value: Any = parent.get_and_apply(key, lambda found: found)
    return value if isinstance(value, generic.DictionaryObject) else None


def _array(store: generic.DictionaryObject, kind: str) -> generic.ArrayObject:
    value: Any = store.get_and_apply(kind, lambda found: found)
    return value if isinstance(value, generic.ArrayObject) else generic.ArrayObject()


def _stream(piece: bytes) -> generic.StreamObject:
    # A list of revoked certificates can have megabytes: those are not worth their place in memory.
    compressed = _compressed(piece) if len(piece) <= _WORTH_KEEPING else zlib.compress(piece, 9)
    return generic.StreamObject(
        {generic.pdf_name("/Filter"): generic.pdf_name("/FlateDecode")}, encoded_data=compressed
    )


@lru_cache(maxsize=128)
def _compressed(piece: bytes) -> bytes:
    """The same chain stands in every document of an organisation: compressed once, not once for each."""
    return zlib.compress(piece, 9)
