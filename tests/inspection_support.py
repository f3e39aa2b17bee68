"""Documents made to be refused, and a helper whose children try to break out.

``python -m tests.inspection_support`` is the real helper with another piece of work in its children: a document that
begins with ``probe:`` names a function of `PROBES` to run behind the walls; any other is examined as always.
"""

import ctypes
import io
import mmap
import os
import random
import socket
import struct
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from service.inspection import helper
from service.inspection.examine import examine
from service.inspection.findings import Answer, Findings
from service.inspection.limits import InspectionLimits

PROBE_PROGRAM = "tests.inspection_support"
DOCUMENTS = Path(__file__).parent / "documents"
SAMPLES = Path(__file__).parents[2] / "shared" / "samples"
PROGRAM = b"MZ\x90\x00" + bytes(60)

# The standard's own test string, in two halves so that no scanner takes this file for the real thing.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


# ------------------------------------------------------------------------------------------------------- documents


def document(change: Callable[[pikepdf.Pdf], None] | None = None, *, pages: int = 1) -> bytes:
    """A small sound PDF, changed by the caller before it is written."""
    pdf = pikepdf.new()
    for _ in range(pages):
        pdf.add_blank_page()
    if change is not None:
        change(pdf)
    return written(pdf)


def written(pdf: pikepdf.Pdf, **how: object) -> bytes:
    out = io.BytesIO()
    pdf.save(out, **how)  # type: ignore[arg-type]
    return out.getvalue()


def action(**keys: Any) -> Callable[[pikepdf.Pdf], None]:
    """A document that does something when it is opened."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root.OpenAction = Dictionary(**keys)

    return change


def attached(name: str, content: bytes) -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.attachments[name] = pikepdf.AttachedFileSpec(pdf, content, filename=name)

    return document(change)


def archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


def deflated_zeros(size: int) -> bytes:
    """`size` zero bytes, a whole number of MiB, packed without ever holding them: one block, said again and again."""
    packer = zlib.compressobj(9)
    start, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    # An empty last block, and Adler-32 (RFC 1950), whose halves for zeros are 1 and how many there are.
    return start + again * ((size >> 20) - 1) + b"\x03\x00" + struct.pack(">HH", size % 65521, 1)


def with_stream(raw: bytes, **keys: object) -> bytes:
    """A document whose page is drawn by a stream with these raw bytes and keys."""

    def change(pdf: pikepdf.Pdf) -> None:
        stream = Stream(pdf, raw)
        for key, value in keys.items():
            stream.stream_dict["/" + key] = value
        pdf.pages[0].obj.Contents = pdf.make_indirect(stream)

    return document(change)


def _signature(pdf: pikepdf.Pdf, permission: int | None) -> pikepdf.Object:
    signature = Dictionary(
        Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), Contents=String(b"\x30\x00"), ByteRange=Array([0, 1, 2, 3])
    )
    if permission is not None:
        parameters = Dictionary(Type=Name.TransformParams, P=permission, V=Name("/1.2"))
        reference = Dictionary(Type=Name.SigRef, TransformMethod=Name.DocMDP, TransformParams=parameters)
        signature.Reference = Array([reference])
    return pdf.make_indirect(signature)


def signed(permission: int | None = None, *, lock: int | None = None) -> bytes:
    """A document with a signature's dictionaries (not a valid one), certified with `permission`."""

    def change(pdf: pikepdf.Pdf) -> None:
        signature = _signature(pdf, permission)
        field = Dictionary(FT=Name.Sig, T=String("Signature1"), V=signature)
        if lock is not None:
            field.Lock = Dictionary(Type=Name.SigFieldLock, Action=Name.All, P=lock)
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=3)
        if permission is not None:
            pdf.Root.Perms = Dictionary(DocMDP=signature)

    return document(change)


def without_cross_references(pdf: bytes) -> bytes:
    """The file with its end cut off, as an interrupted transfer leaves it."""
    return pdf[: pdf.rindex(b"\nxref")]


def raw_document(objects: dict[int, bytes], root: int = 1) -> bytes:
    """A PDF written by hand, for what no library would write."""
    out, places = bytearray(b"%PDF-1.7\n"), {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 %c \n" % (places.get(number, 0), b"n" if number in places else b"f")
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, start)
    return bytes(out)


def looping_pages() -> bytes:
    return raw_document(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
            3: b"<< /Type /Pages /Parent 2 0 R /Kids [ 2 0 R ] /Count 1 >>",
        }
    )


def looping_cross_references() -> bytes:
    """Two cross-reference sections, each of which names the other as the one before it."""
    sound = document()
    at = int(sound[sound.rindex(b"startxref") :].split()[1])
    return sound.replace(b"trailer <<", b"trailer << /Prev %d" % at, 1)


def nested(depth: int) -> bytes:
    return raw_document(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /X 4 0 R >>",
            2: b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 595 842 ] >>",
            4: b"[" * depth + b"]" * depth,
        }
    )


# ---------------------------------------------------------------------------------------------------------- probes


def _errno(attempt: Callable[[], object]) -> int:
    """0 when it worked, else the error's number."""
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


def _libc(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != -1:
        return 0
    return ctypes.get_errno()


def _executable_memory() -> int:
    return _errno(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))


def _thread() -> int:
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return 1
    return 0


ATTEMPTS: dict[str, Callable[[], int]] = {
    "socket": lambda: _errno(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    "unix_socket": lambda: _errno(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
    "socketpair": lambda: _errno(socket.socketpair),
    "connect": lambda: _libc("connect", 3, b"\x02\x00" + struct.pack(">H", 80) + bytes(12), 16),
    "open_to_write": lambda: _errno(lambda: os.open("/tmp/probe", os.O_WRONLY | os.O_CREAT, 0o600)),
    "open_to_read": lambda: _errno(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "list_folder": lambda: _errno(lambda: list(Path("/").iterdir())),
    "unlink": lambda: _errno(Path("/tmp/probe").unlink),
    "rename": lambda: _errno(lambda: Path("/tmp/probe").rename("/tmp/probe2")),
    "memfd": lambda: _errno(lambda: os.memfd_create("more")),
    "exec": lambda: _errno(lambda: os.execv("/bin/true", ["true"])),
    "fork": lambda: _errno(os.fork),
    "thread": _thread,
    "ptrace": lambda: _libc("ptrace", 16, os.getppid(), 0, 0),
    "kill_helper": lambda: _errno(lambda: os.kill(os.getppid(), 9)),
    "raise_limit": lambda: _libc("prlimit", 0, 9, (ctypes.c_ulong * 2)(1 << 40, 1 << 40), None),
    "become_root": lambda: _libc("setuid", 0),
    "unshare": lambda: _libc("unshare", 0x10000000),
    "executable_memory": _executable_memory,
}
"""What a child that has been taken over would try, each giving 0 if it could."""


def _try(name: str) -> Answer:
    """The outcome as a number of pages: 1 + the error's number, so 1 means that the wall is not there."""
    return Answer(Findings(pages=1 + ATTEMPTS[name](), pdf_version="1.7"))


def _memory() -> Answer:
    hoard = [bytearray(64 << 20) for _ in range(64)]
    return Answer(Findings(pages=len(hoard), pdf_version="1.7"))


def _sleep() -> Answer:
    time.sleep(600)
    raise AssertionError


def _spin() -> Answer:
    while True:
        continue


def _crash() -> Answer:
    ctypes.string_at(0)
    raise AssertionError


def _abort() -> Answer:
    os.abort()


def _error() -> Answer:
    raise ZeroDivisionError


def _flood() -> Answer:
    block = bytes(1 << 20)
    while True:
        os.write(3, block)


def _say(wire: bytes) -> Answer:
    os.write(3, wire)
    os._exit(0)


def _header(**fields: object) -> bytes:
    body = msgspec.json.encode({"pages": 1, "pdf_version": "1.7", **fields})
    return len(body).to_bytes(4, "big") + body


PROBES: dict[str, Callable[[], Answer]] = {
    "memory": _memory,
    "sleep": _sleep,
    "spin": _spin,
    "crash": _crash,
    "abort": _abort,
    "error": _error,
    "flood": _flood,
    "say_nothing": lambda: _say(b""),
    "say_noise": lambda: _say(b"\xff" * 100),
    "say_no_json": lambda: _say(b"\x00\x00\x00\x02{["),
    "say_own_words": lambda: _say(_header(refusal="please call +32 2 000 00 00")),
    "say_own_note": lambda: _say(_header(notes=[{"code": "click here"}])),
    "say_negative": lambda: _say(_header(pages=-1)),
    "say_wrong_sizes": lambda: _say(_header(attached=[2**31])),
    "say_version": lambda: _say(_header(pdf_version="<script>")),
    "pid": lambda: Answer(Findings(pages=os.getpid(), pdf_version="1.7")),
    "random": lambda: Answer(Findings(pages=1 + random.getrandbits(20), pdf_version="1.7")),
    "environment": lambda: Answer(Findings(pages=1 + len(os.environ), pdf_version="1.7")),
    "descriptors": lambda: Answer(Findings(pages=1 + _open_descriptors(), pdf_version="1.7")),
    **{f"try_{name}": partial(_try, name) for name in ATTEMPTS},
}


def _open_descriptors() -> int:
    return sum(_errno(partial(os.fstat, number)) == 0 for number in range(4096))


def probing(data: bytes, limits: InspectionLimits) -> Answer:
    """Run the probe that the document names, or examine it."""
    if data.startswith(b"probe:"):
        return PROBES[data[6:].decode()]()
    return examine(data, limits)


if __name__ == "__main__":
    helper.main(sys.argv[1:], probing)
