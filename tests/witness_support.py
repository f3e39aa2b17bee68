"""Witnesses for tests: one in this process, one as anybody would run it, and some that lie."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from service.embedded.kept import free_port
from service.ledger import merkle, witness
from service.ledger.add_checkpoint import AddCheckpoint
from service.ledger.checkpoint import Checkpoint
from service.ledger.cosigning import KnownWitness, parse_witnesses
from service.ledger.witness import Answer, Witness
from tests.ledger_support import NOW, ORIGIN, signer, tiles_over

NAME = "witness.example/w1"
ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-c", "from service.cli.main import zending; zending()", "witness"]


def made(folder: Path, name: str = NAME) -> Witness:
    """A new witness of the tests' log."""
    found = witness.create(folder, name)
    assert found.add_log(signer().vkeys) == ORIGIN
    return found


def asking(row: list[bytes], old: int, *, at: datetime = NOW, size: int | None = None) -> AddCheckpoint:
    """What the log over ``row`` would send to a witness that has seen ``old`` leaves."""
    size = len(row) if size is None else size
    head = Checkpoint(ORIGIN, size, merkle.tree_hash(row[:size]))
    proof = merkle.consistency_proof(old, size, tiles_over(row)) if old <= size else []
    return AddCheckpoint(old, tuple(proof), signer().sign(head, at=at))


@contextmanager
def answering(answer: Callable[[bytes], Answer]) -> Iterator[str]:
    """A server that answers every POST like this; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found = answer(self.rfile.read(int(self.headers["Content-Length"])))
            content = found.body.encode("utf-8", "surrogateescape")
            self.send_response(found.status)
            self.send_header("Content-Type", found.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_given: object) -> None:
            """Nothing: the tests see what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def dripping() -> Iterator[str]:
    """A server that answers one byte after another and never comes to an end; its address."""
    stop = threading.Event()

    def drip(listening: socket.socket) -> None:
        listening.settimeout(30)
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            while not stop.wait(0.05):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: " if not started else b"x")
                started.append(True)

    started: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def known(url: str, found: Witness) -> KnownWitness:
    """The setting for a witness at this address."""
    (read,) = parse_witnesses(" ".join([url, *found.vkeys]))
    return read


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``zending witness …`` as somebody calls it who has nothing but the program: an empty folder, no settings."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=_bare(), capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """``zending witness serve`` in this folder; its address."""
    port = free_port()
    with (folder / "log").open("wb") as told:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port)], cwd=folder, env=_bare(), stdout=told, stderr=told
        )
    try:
        end = time.monotonic() + 30
        while not _listens(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _bare() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
