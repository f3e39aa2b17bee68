"""The largest submissions, for real: 100,000 deliveries in one ZIP, and 10 GB over a line that breaks.

``python -m bench.submissions`` uploads to a running API process and lets workers go at what came; ``--only rows`` or
``--only bytes`` does one of the two, ``--quick`` both of them small. Rows: for real, until each row is a delivery, and
as a dry run; documents are small valid PDFs, no two alike. Bytes: a few hundred documents just below the limit of
30 MB, uploaded resumably; the connection is cut in the middle several times and the upload goes on from where the
stored bytes end. Sealing is held back: here is measured what comes before it.

The ZIP is made while it is sent (bench/virtual_zip.py). Memory is the highest that any process of a role came to in a
phase (VmHWM, which is set back before each). What an upload is compared with is the same bytes written to a file on the
same disk with an fsync for each 8 MiB.
"""

import argparse
import http.client
import json
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.measure import Result, cost, rate, report
from bench.running import Running, citizens, connect, running
from bench.virtual_zip import Member, VirtualZip
from service.db.jobs import JobKind
from service.embedded.program import descendants
from service.usecases import pauses

MEBIBYTE: Final = 1024 * 1024
ROWS, ROWS_QUICK = 100_000, 300
GIGABYTES, GIGABYTES_QUICK = 10.0, 0.2
CUTS: Final = 4
"""How often the connection of the large upload breaks."""
SIDE: Final = 3_140
"""Pixels of the large documents' image, each way: 29.6 million bytes of three colours."""
PIECE: Final = 256 * 1024
PART: Final = 8 * MEBIBYTE
SAMPLE: Final = 512 * MEBIBYTE
"""Bytes of the file that an upload is compared with."""
PATIENCE: Final = 3 * 3600.0
_TELL: Final = 60.0
_SILENCE: Final = 900.0
"""Seconds without a word: a machine that is shared may hold everything up for a while."""


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description="The largest submissions, with memory watched")
    parser.add_argument("--quick", action="store_true", help=f"{ROWS_QUICK} rows and {GIGABYTES_QUICK} GB")
    parser.add_argument("--only", choices=["rows", "bytes"], help="one of the two")
    parser.add_argument("--rows", type=int, metavar="N")
    parser.add_argument("--gigabytes", type=float, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given = parser.parse_args()
    rows = given.rows or (ROWS_QUICK if given.quick else ROWS)
    gigabytes = given.gigabytes or (GIGABYTES_QUICK if given.quick else GIGABYTES)
    found: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="zending-submissions-") as folder, running(Path(folder) / "home") as target:
        with target.application.context.database.transaction() as session:
            pauses.begin(session, kind=JobKind.SEAL, reason="not measured here", actor="bench")
        bench = Bench(target)
        if given.only != "bytes":
            found += bench.many_rows(rows)
        if given.only != "rows":
            found += bench.many_bytes(gigabytes)
    report(found, json_file=given.json)


def small_pdf(number: int) -> bytes:
    """A valid document of one page and a few hundred bytes, unlike any other."""
    return _pdf([_page(f"BT /F1 12 Tf 72 720 Td (Letter {number:08d}) Tj ET".encode())])


def large_pdf(number: int, image: bytes) -> bytes:
    """A valid document of one page with an image of ``SIDE`` by ``SIDE``, unlike any other."""
    head = f"<</Type/XObject/Subtype/Image/Width {SIDE}/Height {SIDE}/ColorSpace/DeviceRGB/BitsPerComponent 8"
    own = number.to_bytes(8, "big") + image[8:]
    return _pdf([_page(b"q 500 0 0 500 50 200 cm /Im1 Do Q", own=b"/XObject<</Im1 6 0 R>>"), _stream(head, own)])


def _page(content: bytes, *, own: bytes = b"") -> bytes:
    font = b"/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources 5 0 R>>"
    return page + b"\n\n" + _stream("<<", content) + b"\n\n<<" + font + own + b">>"


def _stream(head: str, content: bytes) -> bytes:
    return f"{head}/Length {len(content)}>>stream\n".encode() + content + b"\nendstream"


def _pdf(last: Sequence[bytes]) -> bytes:
    page, contents, resources = last[0].split(b"\n\n")
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, contents, resources]
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, each in enumerate([*objects, *last[1:]], 1):
        places.append(len(made))
        made += f"{number} 0 obj\n".encode() + each + b"\nendobj\n"
    at = len(made)
    made += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n".encode()
    made += "".join(f"{place:010d} 00000 n \n" for place in places).encode()
    made += f"trailer<</Size {len(places) + 1}/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n".encode()
    return bytes(made)


def packed(run: str, documents: Sequence[Member]) -> VirtualZip:
    """The ZIP of a submission with a row for each document."""
    people = citizens(len(documents), first=610215001)
    lines = [_line(run, number, citizen) for number, citizen in enumerate(people)]
    listed = "".join(
        json.dumps(line | {"document": member.name}) + "\n" for line, member in zip(lines, documents, strict=True)
    ).encode()
    return VirtualZip([Member("deliveries.jsonl", len(listed), lambda: listed), *documents])


def _line(run: str, number: int, citizen: str) -> dict[str, Any]:
    person = f"Persoon {citizen[-4:]}"
    return {
        "reference": f"{run}-{number:06d}",
        "recipient": {"type": "citizen", "id": citizen, "name": person},
        "postal_address": {
            "name": person, "street": "Kerkstraat", "number": "12", "postcode": "9000", "municipality": "Gent",
            "country": "BE",
        },
        "subject": "Beslissing over uw aanvraag",
        "language": "nl",
        "document_type": "decision",
    }  # fmt: skip


class Memory:
    """The most that each process of a role had in memory since this was made, in MiB."""

    def __init__(self, target: Running) -> None:
        self._target = target
        for pid in self._processes():
            # Children that inspect come and go.
            with suppress(FileNotFoundError, ProcessLookupError):
                # 5: the highest mark is set back to what is held now.
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _processes(self) -> dict[int, str]:
        found = {}
        for name, pids in self._target.stack.pids().items():
            role = name.partition("-")[0]
            if role in ("api", "worker", "scheduler"):
                found |= {each: role for pid in pids for each in (pid, *descendants(pid))}
        return found

    def peaks(self) -> dict[str, float]:
        """By role. Inspection is left out: its children are gone before anybody could look."""
        found: dict[str, float] = {}
        for pid, role in self._processes().items():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
            if b"inspection" not in command:
                found[role] = max(found.get(role, 0.0), int(line.split()[1]) / 1024)
        return found


@dataclass
class Bench:
    """A running service, and what is measured against it."""

    target: Running

    def __post_init__(self) -> None:
        self._token, self._since = "", 0.0

    def many_rows(self, count: int) -> Iterator[Result]:
        """A submission of many small documents."""
        documents = [
            Member(f"letters/{number:06d}.pdf", len(small_pdf(number)), lambda number=number: small_pdf(number))  # type: ignore[misc]
            for number in range(count)
        ]
        archive = packed(uuid.uuid4().hex[:8], documents)
        case = f"{count:,} rows"
        yield cost(f"{case}/length of the ZIP", archive.size / MEBIBYTE, "MiB")
        yield from self._through(case, archive, count)
        yield from self._through(f"{case}, dry run", archive, count, dry_run=True)

    def many_bytes(self, gigabytes: float) -> Iterator[Result]:
        """A submission of many gigabytes, over a line that breaks."""
        image = os.urandom(3 * SIDE * SIDE)
        size = len(large_pdf(0, image))
        # One less than fit: list and table of contents want their place.
        count = int(gigabytes * 1024**3) // size - 1
        documents = [
            Member(f"letters/{number:04d}.pdf", size, lambda number=number: large_pdf(number, image))  # type: ignore[misc]
            for number in range(count)
        ]
        archive = packed(uuid.uuid4().hex[:8], documents)
        yield from self._through(f"{archive.size / 1e9:.1f} GB", archive, count, cuts=CUTS)

    def _through(
        self, case: str, archive: VirtualZip, rows: int, *, cuts: int = 0, dry_run: bool = False
    ) -> Iterator[Result]:
        """A submission from its first byte until every row is a delivery, or found good."""
        _say(f"{case}: uploading {archive.size / MEBIBYTE:.0f} MiB")
        memory, began = Memory(self.target), time.monotonic()
        public = self._upload(archive, cuts=cuts, dry_run=dry_run)
        done = time.monotonic()
        peaks = list(_told(f"{case}/upload", memory))
        memory = Memory(self.target)
        plain = self._plain(archive)
        mib = archive.size / MEBIBYTE
        yield rate(f"{case}/upload", mib / (done - began), "MiB/s", peer="file with fsync", peer_value=plain)
        if cuts:
            yield cost(f"{case}/connections that broke off", float(cuts), "connections")
        yield from peaks

        began = done
        listed = self._until(public, lambda found: found["rows"]["total"] == rows or found["state"] == "refused")
        unpacked = time.monotonic() - began
        _say(f"{case}: {listed['rows']['total']} rows listed after {unpacked:.1f} s ({listed['state']})")
        wanted = "good" if dry_run else "admitted"
        ended = ("checked", "done", "refused", "stopped")
        found = self._until(public, lambda found: found["state"] in ended)
        seconds = time.monotonic() - began
        if found["rows"][wanted] != rows:
            _, bad = self._call("GET", f"/v1/submissions/{public}/rows?state=bad")
            told = [(row["row"], [each["code"] for each in row["errors"]]) for row in bad["items"][:10]]
            raise RuntimeError(f"not every row is {wanted}: {found['state']} {found['rows']} {told}")
        yield cost(f"{case}/listed", unpacked, "s")
        yield rate(f"{case}/{wanted}", rows / seconds, "rows/s")
        yield from _told(f"{case}/{wanted}", memory)

        memory, began = Memory(self.target), time.monotonic()
        lines = self._report_lines(public)
        if lines != rows + 1:
            raise RuntimeError(f"the report has {lines} lines for {rows} rows")
        yield rate(f"{case}/report", rows / (time.monotonic() - began), "rows/s")
        yield from _told(f"{case}/report", memory)
        began = time.monotonic()
        status, found = self._call("POST", f"/v1/submissions/{public}/stop")
        if (status, found["state"]) != (http.client.OK, "stopped"):
            raise RuntimeError(f"it could not be stopped: {status} {found}")
        yield cost(f"{case}/stopped", time.monotonic() - began, "s")

    def _upload(self, archive: VirtualZip, *, cuts: int, dry_run: bool) -> str:
        wanted = {"size": archive.size, "dry_run": dry_run, "on_error": "continue"}
        status, made = self._call("POST", "/v1/submissions", wanted)
        if status != http.client.CREATED:
            raise RuntimeError(f"no submission: {status} {made}")
        public = str(made["id"])
        for number in range(1, cuts + 1):
            # Into the middle of a part, so that something was on its way when the line broke.
            self._send(archive, public, until=archive.size * number // (cuts + 1) + PART // 2)
            _say(f"  broken off, {self._offset(public) / MEBIBYTE:.0f} MiB are stored")
        self._send(archive, public, until=archive.size)
        return public

    def _send(self, archive: VirtualZip, public: str, *, until: int) -> None:
        """Send from where the stored bytes end; where ``until`` is not the end, hang up there without a word."""
        at = self._offset(public)
        place = urlsplit(self.target.stack.base_url)
        head = (
            f"PATCH /v1/submissions/{public}/content HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Authorization: Bearer {self._fresh()}\r\nContent-Type: application/partial-upload\r\n"
            f"Upload-Offset: {at}\r\nUpload-Complete: ?1\r\nContent-Length: {archive.size - at}\r\n\r\n"
        )
        with socket.create_connection((str(place.hostname), place.port or 80), timeout=_SILENCE) as line:
            line.sendall(head.encode())
            for content in archive.read_from(at):
                for piece in (content[start : start + PIECE] for start in range(0, len(content), PIECE)):
                    line.sendall(piece[: until - at])
                    at += len(piece)
                    if at >= until < archive.size:
                        return
            answer = line.recv(4096)
        if not answer.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(f"the upload was refused: {answer[:300]!r}")

    def _offset(self, public: str) -> int:
        """Where the stored bytes end, once no connection that broke is still being stored."""
        last = -1
        while True:
            with closing(connect(self.target.stack.base_url, timeout=_SILENCE)) as line:
                line.request("HEAD", f"/v1/submissions/{public}/content", headers=self._headers())
                answer = line.getresponse()
                now = int(answer.headers["Upload-Offset"])
            if now == last:
                return now
            last = now
            time.sleep(0.5)

    def _plain(self, archive: VirtualZip) -> float:
        """MiB a second of the same bytes written to a file of the same disk, made durable part by part."""
        name = self.target.home / "compared"
        written = 0
        spent = 0.0
        with name.open("wb", buffering=0) as file:
            for content in archive.read_from(0):
                for piece in (content[start : start + PART] for start in range(0, len(content), PART)):
                    began = time.perf_counter()
                    written += file.write(piece)
                    if written // PART != (written - len(piece)) // PART:
                        os.fsync(file.fileno())
                    spent += time.perf_counter() - began
                if written >= SAMPLE:
                    break
            began = time.perf_counter()
            os.fsync(file.fileno())
        spent += time.perf_counter() - began
        name.unlink()
        return written / MEBIBYTE / spent

    def _report_lines(self, public: str) -> int:
        with closing(connect(self.target.stack.base_url, timeout=_SILENCE)) as line:
            headers = self._headers() | {"Accept": "text/csv"}
            line.request("GET", f"/v1/submissions/{public}/rows", headers=headers)
            answer = line.getresponse()
            lines = 0
            while piece := answer.read(PIECE):
                lines += piece.count(b"\n")
        return lines

    def _until(self, public: str, look: Any) -> dict[str, Any]:
        ends, told = time.monotonic() + PATIENCE, time.monotonic()
        while True:
            _, found = self._call("GET", f"/v1/submissions/{public}")
            if look(found):
                return found
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                _say(f"  {found['state']}, {found['progress']:.0%}")
            if time.monotonic() > ends:
                raise RuntimeError(f"it did not come in {PATIENCE:.0f} s: {found['state']} {found['rows']}")
            time.sleep(0.5)

    def _call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        headers = self._headers() | {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        with closing(connect(self.target.stack.base_url, timeout=_SILENCE)) as line:
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._fresh()}"}

    def _fresh(self) -> str:
        """A token that is good for some minutes more."""
        if not self._token or time.monotonic() - self._since > 120:
            self._token, self._since = self.target.token(), time.monotonic()
        return self._token


def _told(case: str, memory: Memory) -> Iterator[Result]:
    for role, peak in sorted(memory.peaks().items()):
        yield cost(f"{case}, highest memory of {role}", peak, "MiB")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
