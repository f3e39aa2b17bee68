"""Hostile ZIPs: each trick is refused by its own code, and nothing of the archive's names is repeated."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import pytest

from service.usecases import submission_container
from service.usecases.submission_container import Container, ContainerRefused, open_container, read_entry
from tests.submission_support import PDF, line, packed

MOST = 10 * 1024 * 1024
LIST = b'{"reference": "1"}\n'


def opened(content: bytes, *, most: int = MOST) -> Container:
    return open_container(io.BytesIO(content), most_bytes=most)


def code_of(content: bytes, *, most: int = MOST, read: str | None = None) -> str:
    """The code by which a ZIP is refused, when opened or when one of its files is read."""

    def look() -> None:
        found = opened(content, most=most)
        entry = found.list_entry if read is None else found.find(read)
        assert entry is not None
        read_entry(io.BytesIO(content), entry, most=most)

    with pytest.raises(ContainerRefused) as caught:
        look()
    assert "secret" not in caught.value.detail, "names of entries may be those of persons"
    return caught.value.code


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return written.getvalue()


def with_list(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    return zipped(("deliveries.jsonl", LIST), *entries, method=method)


def info(name: str, **attributes: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def changed(content: bytes, name: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """The ZIP with an entry of the table of contents changed."""
    made = bytearray(content)
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        length = struct.unpack_from("<H", made, at + 28)[0]
        if made[at + 46 : at + 46 + length] == name:
            change(made, at)
            return bytes(made)
        at = made.find(b"PK\x01\x02", at + 4)
    raise AssertionError("no such entry")


def put(format_: str, offset: int, value: int) -> Callable[[bytearray, int], None]:
    return lambda made, at: struct.pack_into(format_, made, at + offset, value)


def test_a_good_zip_gives_its_list_and_its_files_under_any_spelling() -> None:
    found = opened(with_list(("Brieven/Één.pdf", PDF), ("Brieven/", b"")))
    assert found.list_name == "deliveries.jsonl"
    composed, decomposed = "brieven/één.PDF", "brieven/e\u0301e\u0301n.pdf"
    entry = found.find(composed)
    assert entry is not None
    assert entry == found.find(decomposed)
    assert found.find("andere.pdf") is None
    content = with_list(("Brieven/Één.pdf", PDF), ("Brieven/", b""))
    assert read_entry(io.BytesIO(content), entry, most=MOST) == PDF


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_is_read_is_what_was_packed(method: int) -> None:
    content = packed([line()], {"a.pdf": PDF, "empty.pdf": b"", "b.pdf": PDF * 30}, method=method)
    found = opened(content)
    for name, expected in (("a.pdf", PDF), ("empty.pdf", b""), ("b.pdf", PDF * 30)):
        entry = found.find(name)
        assert entry is not None
        assert read_entry(io.BytesIO(content), entry, most=MOST) == expected


def test_a_zip64_is_read() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        with archive.open("deliveries.jsonl", "w", force_zip64=True) as entry:
            entry.write(LIST)
        for number in range(3):
            with archive.open(f"{number}.pdf", "w", force_zip64=True) as entry:
                entry.write(PDF)
    content = written.getvalue()
    found = opened(content)
    entry_2 = found.find("2.pdf")
    assert entry_2 is not None
    assert read_entry(io.BytesIO(content), entry_2, most=MOST) == PDF


def test_more_entries_than_the_short_form_can_count_are_read() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("deliveries.jsonl", LIST)
        for number in range(66_000):
            archive.writestr(f"{number}.pdf", b"")
    assert len(opened(written.getvalue()).files) == 66_000


def test_a_zip_written_to_a_stream_is_read() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.got = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.got += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deliveries.jsonl", LIST)
        archive.writestr("a.pdf", PDF)
    content = bytes(pipe.got)
    entry = opened(content).find("a.pdf")
    assert entry is not None
    assert read_entry(io.BytesIO(content), entry, most=MOST) == PDF


@pytest.mark.parametrize(
    "name",
    ["../secret.pdf", "a/../../secret.pdf", "/etc/secret.pdf", "C:/secret.pdf", "a\\..\\secret.pdf", "a//secret.pdf",
     "./secret.pdf", "secret\x07.pdf", "secret\u202efdp.pdf", "s" * 600],
    ids=["up", "further-up", "absolute", "drive", "backslash", "empty-part", "here", "bell", "turned-round", "long"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_deceives_is_refused(name: str) -> None:
    assert code_of(with_list((name, PDF))) == "zip_name_unsafe"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.pdf", "a.pdf"), ("a.pdf", "A.PDF"), ("é.pdf", "e\u0301.pdf"), ("straße.pdf", "STRASSE.pdf"), ("a", "a/"),
     ("ﬁche.pdf", "fiche.pdf"), ("deliveries.jsonl", "Deliveries.JSONL")],
    ids=["same", "capitals", "accents", "sharp-s", "folder", "ligature", "list"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_names_that_look_alike_are_refused(first: str, second: str) -> None:
    extra = [] if first.startswith("deliveries") else [("deliveries.jsonl", LIST)]
    assert code_of(zipped(*extra, (first, b"x"), (second, b""))) == "zip_name_repeated"


@pytest.mark.parametrize("kind", [0o120777, 0o060644, 0o010644, 0o140644], ids=["link", "device", "pipe", "socket"])
def test_what_is_no_file_is_refused(kind: int) -> None:
    assert code_of(with_list((info("secret.pdf", external_attr=kind << 16), b"/etc/passwd"))) == "zip_not_a_file"


def test_a_folder_with_content_is_refused() -> None:
    assert code_of(with_list(("secret/", b"hidden"))) == "zip_not_a_file"


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_an_encrypted_entry_is_refused(flag: int) -> None:
    content = with_list(("secret.pdf", PDF))
    assert code_of(changed(content, b"secret.pdf", put("<H", 8, flag))) == "zip_encrypted"


@pytest.mark.parametrize("name", ["secret.zip", "SECRET.ZIP", "a/secret.7z", "secret.tar.gz", "secret.rar"])
def test_an_archive_in_the_archive_is_refused(name: str) -> None:
    assert code_of(with_list((name, b"x"))) == "zip_nested"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_odd_way_of_packing_is_refused(method: int) -> None:
    assert code_of(with_list(("secret.pdf", PDF), method=method)) == "zip_method_unknown"


def test_a_name_in_an_unknown_alphabet_is_refused_and_not_guessed() -> None:
    content = with_list(("secr\u00e9t.pdf", PDF))
    unmarked = changed(content, "secr\u00e9t.pdf".encode(), put("<H", 8, 0))
    assert code_of(unmarked) == "zip_name_not_utf8"
    wrong = content.replace("secr\u00e9t.pdf".encode(), b"secr\xff\xfet.pdf")
    assert code_of(wrong) == "zip_name_not_utf8"


def test_a_bomb_is_refused_by_what_it_claims() -> None:
    assert code_of(with_list(("a.pdf", b"\0" * (2 * MOST)), method=zipfile.ZIP_DEFLATED), most=10 * MOST) == "zip_bomb"


def test_many_small_ones_may_not_become_too_much_together() -> None:
    content = with_list(*((f"{number}.pdf", bytes([number]) * 400_000) for number in range(9)))
    assert code_of(content, most=3_000_000) == "zip_bomb"


def test_a_bomb_that_lies_about_its_size_is_stopped_where_it_said_it_would_end() -> None:
    content = with_list(("a.pdf", b"\0" * (64 * MOST)), method=zipfile.ZIP_DEFLATED)
    lying = changed(content, b"a.pdf", put("<L", 24, 1000))
    tracemalloc.start()
    assert code_of(lying, read="a.pdf") == "zip_size_differs"
    assert tracemalloc.get_traced_memory()[1] < MOST, "it burst before it was stopped"
    tracemalloc.stop()


def test_one_that_is_shorter_than_it_says_is_refused() -> None:
    content = with_list(("a.pdf", PDF), method=zipfile.ZIP_DEFLATED)
    assert code_of(changed(content, b"a.pdf", put("<L", 24, len(PDF) + 1)), read="a.pdf") == "zip_size_differs"


def test_a_wrong_checksum_is_refused() -> None:
    content = with_list(("a.pdf", PDF))
    assert code_of(changed(content, b"a.pdf", put("<L", 16, zlib.crc32(b"other"))), read="a.pdf") == "zip_crc_differs"


def test_bytes_that_changed_are_refused() -> None:
    content = bytearray(with_list(("a.pdf", PDF)))
    at = content.find(PDF[:64])
    content[at + 40] ^= 1
    assert code_of(bytes(content), read="a.pdf") == "zip_crc_differs"


def test_two_entries_over_the_same_bytes_are_refused() -> None:
    content = with_list(("a.pdf", PDF), ("b.pdf", PDF))
    first = content.find(b"PK\x03\x04", 4)
    assert code_of(changed(content, b"b.pdf", put("<L", 42, first)), read="a.pdf") == "zip_overlaps"


def test_an_entry_that_reaches_into_the_next_is_refused_when_read() -> None:
    content = bytearray(with_list(("a.pdf", PDF), ("b.pdf", PDF)))
    at = content.find(b"PK\x03\x04", 4)
    # A longer extra field in the local header moves the content to where the next entry lies.
    struct.pack_into("<H", content, at + 28, 200)
    assert code_of(bytes(content), read="a.pdf") == "zip_overlaps"


def test_a_local_header_that_says_otherwise_is_refused() -> None:
    content = bytearray(with_list(("a.pdf", PDF)))
    at = content.find(b"PK\x03\x04", 4)
    struct.pack_into("<H", content, at + 8, 8)
    assert code_of(bytes(content), read="a.pdf") == "zip_malformed"


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"%PDF-1.7\n", PDF, with_list()[:-30], with_list() + b"trailing", b"#!/bin/sh\n" + with_list(),
     with_list(("a.pdf", PDF))[100:]],
    ids=["empty", "two-bytes", "pdf-head", "pdf", "cut", "trailing", "leading", "beginning-lost"],
)  # fmt: skip
def test_what_is_no_zip_from_beginning_to_end_is_refused(content: bytes) -> None:
    assert code_of(content) == "zip_malformed"


def test_a_table_of_contents_that_claims_to_be_huge_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission_container, "DIRECTORY_BYTES", 100)
    assert code_of(with_list(*((f"{number}.pdf", b"x") for number in range(5)))) == "zip_too_many_entries"
    monkeypatch.undo()
    monkeypatch.setattr(submission_container, "MOST_ENTRIES", 5)
    assert code_of(with_list(*((f"{number}.pdf", b"x") for number in range(5)))) == "zip_too_many_entries"


def test_a_long_form_that_says_otherwise_than_the_short_one_does_not_slip_through() -> None:
    content = with_list(("a.pdf", PDF))
    end = content.rfind(b"PK\x05\x06")
    long = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, 1 << 40, 0)
    place = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    assert code_of(content[:end] + long + place + content[end:]) == "zip_too_many_entries"


def test_a_zip_in_several_files_is_refused() -> None:
    content = bytearray(with_list())
    struct.pack_into("<H", content, content.rfind(b"PK\x05\x06") + 4, 1)
    assert code_of(bytes(content)) == "zip_malformed"


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([("a.pdf", PDF)], "zip_list_missing"),
        ([("map/deliveries.csv", b"x")], "zip_list_missing"),
        ([("deliveries.csv", b"x"), ("deliveries.jsonl", b"x")], "zip_list_twice"),
    ],
    ids=["none", "in-a-folder", "two"],
)
def test_there_is_one_list_at_the_top(entries: list[tuple[str, bytes]], code: str) -> None:
    assert code_of(zipped(*entries)) == code


def test_every_code_has_its_sentence() -> None:
    for code, sentence in submission_container.SENTENCES.items():
        assert code.startswith("zip_")
        assert sentence.endswith(".")
        assert ContainerRefused(code, 3).detail.startswith("Entry 3")
