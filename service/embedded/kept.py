"""What an installation keeps from one start to the next, each in a file of its own: passwords and ports."""

import errno
import os
import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, so that a kept port is seldom taken.
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000
_TRIES = 200


def write_durably(file: Path, content: str, *, mode: int = 0o600) -> None:
    """Write the whole file or none of it, whatever fails meanwhile; on disk once this returns."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kept_password(file: Path) -> str:
    """The password in ``file``, made at the first call (192 random bits) and readable for the owner only."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(file, secrets.token_urlsafe(24))
    return file.read_text("utf-8").strip()


def kept_port(file: Path) -> int:
    """The port on 127.0.0.1 that ``file`` names, or, where that is taken or unknown, a free one that it names now."""
    port = known_port(file)
    if port is None or not is_free(port):
        port = free_port()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(file, f"{port}\n")
    return port


def known_port(file: Path) -> int | None:
    """The port that ``file`` names; None when there is no such file, or something else in it."""
    try:
        text = file.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) <= 65_535 else None  # noqa: PLR2004 - the highest there is


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on at this moment.

    Raises:
        OSError: none was found.
    """
    for _ in range(_TRIES):
        port = _LOWEST_PORT + secrets.randbelow(_HIGHEST_PORT - _LOWEST_PORT)
        if is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, "no free port on 127.0.0.1")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            return False
    return True


def accepts_connections(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
