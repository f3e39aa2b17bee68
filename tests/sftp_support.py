"""A real SSH server with SFTP in a thread, over folders of this machine, whose transfers break when told to."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh

from printing.providers import staged
from printing.providers.base import PrintProvider
from printing.providers.sftp import SftpProvider, SftpServer
from tests.print_way_support import DirectoryRemote

USER = "voorbeel"


@cache
def key(name: str) -> asyncssh.SSHKey:
    """A key pair of this run of the tests, by its name."""
    assert name
    return asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Faults:
    """What goes wrong, each once, when it is set.

    Attributes:
        cut_after: bytes written in all after which the connection is cut.
        full_after: bytes of a file after which the disk is full.
        rename_fails: the rename is answered with a failure and not done.
        answer_lost: the rename is done, and the connection cut before the answer.
        silent: nothing is answered any more.
        write_only: what was written can't be read.
        no_posix_rename: the server lacks the rename that replaces.
    """

    cut_after: int | None = None
    full_after: int | None = None
    rename_fails: bool = False
    answer_lost: bool = False
    silent: bool = False
    write_only: bool = False
    no_posix_rename: bool = False
    connections: int = 0
    renames: list[str] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)


class Breaking(asyncssh.SFTPServer):
    """An SFTP server of asyncssh's over a folder, with faults."""

    def __init__(self, channel: Any, root: Path, faults: Faults) -> None:
        super().__init__(channel, chroot=os.fsencode(root))
        self.faults = faults
        self._written = 0

    def _cut(self) -> None:
        self.channel.get_connection().abort()

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:  # type: ignore[override]
        faults = self.faults
        if faults.silent:
            await asyncio.sleep(3600)
        if faults.full_after is not None and offset + len(data) > faults.full_after:
            raise OSError(errno.ENOSPC, "full")
        if faults.cut_after is not None and self._written + len(data) > faults.cut_after:
            left = faults.cut_after - self._written
            faults.cut_after = None
            super().write(file_obj, offset, data[:left])
            file_obj.flush()  # type: ignore[attr-defined]
            self._cut()
            raise OSError(errno.EPIPE, "cut")
        self._written += len(data)
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self.faults.write_only and not pflags & asyncssh.FXF_WRITE:
            raise PermissionError(errno.EACCES, "write only")
        file = super().open(path, pflags, attrs)
        self.faults.opened.append(file)
        return file

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        faults = self.faults
        if faults.no_posix_rename:
            raise asyncssh.SFTPOpUnsupported("no")
        if faults.rename_fails:
            faults.rename_fails = False
            raise OSError(errno.EIO, "made to fail")
        super().posix_rename(oldpath, newpath)
        faults.renames.append(os.fsdecode(newpath))
        if faults.answer_lost:
            faults.answer_lost = False
            self._cut()

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        self.faults.renames.append(os.fsdecode(newpath))


class _Door(asyncssh.SSHServer):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def connection_made(self, _conn: asyncssh.SSHServerConnection) -> None:
        self._faults.connections += 1


class Server:
    """A running server; ``port`` stays the same when it is stopped and started again."""

    def __init__(self, root: Path, *, host_key: str = "host") -> None:
        self.root, self.faults, self.port = root, Faults(), 0
        self.host_key = host_key
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening: asyncssh.SSHAcceptor | None = None
        self.start()

    def start(self) -> None:
        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_host_keys=[key(self.host_key)],
                authorized_client_keys=asyncssh.import_authorized_keys(key("client").export_public_key().decode()),
                sftp_factory=lambda channel: Breaking(channel, self.root, self.faults),
                server_factory=lambda: _Door(self.faults),
            )

        self._listening = self._do(listen)
        assert self._listening is not None
        self.port = self._listening.get_port()

    def stop(self) -> None:
        if self._listening is not None:

            async def end(listening: asyncssh.SSHAcceptor) -> None:
                listening.close()
                await listening.wait_closed()

            listening = self._listening
            self._listening = None
            self._do(lambda: end(listening))

    def close(self) -> None:
        self.stop()
        self._do(_end_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        for file in self.faults.opened:
            # One whose connection was cut is closed by nobody else.
            file.close()

    def _do(self, act: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)


async def _end_all() -> None:
    """What was begun and is not answered any more."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class SftpRemote(DirectoryRemote):
    """The far side of SFTP: its owner sees folders."""

    bounded: tuple[object, ...] = (staged,)

    def __init__(self, folder: Path, *, host_key: str = "host") -> None:
        super().__init__(folder)
        self.server = Server(folder, host_key=host_key)
        self.key_file = folder / "client.key"
        key("client").write_private_key(self.key_file)

    @property
    def faults(self) -> Faults:
        return self.server.faults

    def address(self, **changes: Any) -> SftpServer:
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": USER,
            "host_key": key("host").export_public_key().decode(),
            "key_file": self.key_file,
            "folder": "/out",
            "incoming": "/in",
            "seconds": 5.0,
        }
        return SftpServer(**given | changes)

    def provider(self, **changes: Any) -> PrintProvider:
        return SftpProvider(self.address(**changes))

    def lose(self) -> None:
        self.server.stop()


@contextmanager
def sftp(folder: Path, **options: Any) -> Iterator[SftpRemote]:
    remote = SftpRemote(folder, **options)
    try:
        yield remote
    finally:
        remote.server.close()
