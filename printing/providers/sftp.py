"""A print house's SFTP server, known by its host key. A connection, and the loop it lives in, last for one call."""

import asyncio
import contextlib
import hashlib
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncssh

from printing.errors import Problem, ProviderRefused
from printing.providers.base import unavailable
from printing.providers.staged import CHUNK, Far, StagedProvider

_GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_UNABLE: Final = (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied)
_HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Kinds of host key that are asked for behind the pinned key's own: a server that lacks that kind shows another, and is
refused for it, where it would hang up as if it were away."""
_LEAVING: Final = 5.0
"""Seconds for a farewell; a server that takes longer is left without one."""


@dataclass(frozen=True)
class SftpServer:
    """Where a print house's server is, and how it is known.

    Attributes:
        host_key: its public key as a line (``ssh-ed25519 AAAA…``); a server with another key is not talked to.
        key_file: our private key (OpenSSH or PEM, without a passphrase), for its user.
        folder: where parcels go.
        incoming: where it puts what it tells us; None for nowhere.
        seconds: how long one step may take: connecting, a question, a chunk of a file.
    """

    host: str
    port: int
    user: str
    host_key: str
    key_file: Path
    folder: str
    incoming: str | None = None
    seconds: float = 30.0


class SftpProvider(StagedProvider):
    """Parcels over SFTP: ``.TMP``, then the rename that replaces (posix-rename@openssh.com) where the server has it.

    A server that lets us read what we wrote is asked for it, and the digest compared; of one that doesn't, the size is.
    """

    def __init__(self, server: SftpServer) -> None:
        """Nothing is connected yet.

        Raises:
            ValueError: the host key or the key file is none; the sentence holds nothing of the private key.
        """
        super().__init__(inbox=server.incoming is not None)
        self._server = server
        try:
            self._host_key = asyncssh.import_public_key(server.host_key)
        except (asyncssh.KeyImportError, ValueError):
            raise ValueError("the pinned host key is no public key (ssh-ed25519 AAAA…)") from None
        try:
            self._key = asyncssh.read_private_key(server.key_file)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError, ValueError) as error:
            raise ValueError(f"the private key file can't be used ({type(error).__name__})") from None

    def look(self) -> None:
        """As the protocol says: the server is the right one, lets us in, and has the folders."""
        try:
            with self.outgoing_folder():
                pass
            if self._server.incoming is not None:
                with self.incoming_folder():
                    pass
        except (OSError, ProviderRefused) as error:
            # What must be looked at is told when a parcel is brought; here it can't be reached, whatever the reason.
            raise unavailable() from error

    def outgoing_folder(self) -> AbstractContextManager[Far]:
        """The folder of parcels, for one connection."""
        return self._open(self._server.folder)

    def incoming_folder(self) -> AbstractContextManager[Far]:
        """The inbox, for one connection."""
        assert self._server.incoming is not None
        return self._open(self._server.incoming)

    @contextmanager
    def _open(self, folder: str) -> Iterator[Far]:
        with asyncio.Runner() as runner:
            # Parts of a transfer that broke off end with errors of their own; the call tells of the transfer.
            runner.get_loop().set_exception_handler(lambda *_: None)

            def run(act: Callable[[], Awaitable[Any]]) -> Any:
                return runner.run(_bounded(act, self._server.seconds))

            connection = run(self._connect)
            try:
                client = run(connection.start_sftp_client)
                if not run(lambda: client.isdir(folder)):
                    # A folder that is not there must never look as if the print house had taken everything away.
                    raise unavailable("The folder of the print house cannot be used now.")
                yield RemoteFolder(client, folder, run)
            finally:
                runner.run(_leave(connection))

    async def _connect(self) -> asyncssh.SSHClientConnection:
        server = self._server
        try:
            return await asyncssh.connect(
                server.host,
                server.port,
                username=server.user,
                client_keys=[self._key],
                known_hosts=([self._host_key], [], []),
                server_host_key_algs=[*(each.decode() for each in self._host_key.sig_algorithms), *_HOST_KEYS],
                # Nothing of the machine's own: no agent, no configuration, no other way to log in.
                agent_path=None,
                config=None,
                preferred_auth="publickey",
                connect_timeout=server.seconds,
                login_timeout=server.seconds,
                keepalive_interval=15,
            )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
            detail = "The server does not show the key that the print house is known by; nothing was sent."
            raise ProviderRefused(Problem("HOST_KEY_DIFFERS", detail)) from None
        except asyncssh.PermissionDenied:
            raise ProviderRefused(Problem("LOGIN_REFUSED", "The print house does not let us in.")) from None


class RemoteFolder:
    """A folder of an SFTP server, as `Far` says."""

    def __init__(
        self,
        client: asyncssh.SFTPClient,
        folder: str,
        run: Callable[[Callable[[], Awaitable[Any]]], Any],
    ) -> None:
        """``run`` runs one step, within its time."""
        self._client, self._folder, self._run = client, folder, run

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def size(self, name: str) -> int | None:
        """In bytes."""
        try:
            return int(self._run(lambda: self._client.stat(self._path(name))).size or 0)
        except FileNotFoundError:
            return None

    def sha256(self, name: str) -> str | None:
        """Of what is read back; None where that is not allowed."""
        try:
            file = self._run(lambda: self._client.open(self._path(name), "rb"))
        except PermissionError:
            return None
        digest = hashlib.sha256()
        try:
            while chunk := self._run(lambda: file.read(CHUNK)):
                digest.update(chunk)
        finally:
            self._close(file)
        return digest.hexdigest()

    def write(self, name: str, data: bytes | Path) -> None:
        """Written, and synced where the server can (fsync@openssh.com)."""
        file = self._run(lambda: self._client.open(self._path(name), "wb"))
        try:
            for chunk in _chunks(data):
                self._run(partial(file.write, chunk))
            with contextlib.suppress(PermissionError):
                self._run(file.fsync)
        finally:
            self._close(file)

    def sync(self, *names: str) -> None:
        """Files, where the server can; it alone answers for its folders."""
        for name in names:
            file = self._run(partial(self._client.open, self._path(name), "r+b"))
            try:
                with contextlib.suppress(PermissionError):
                    self._run(file.fsync)
            finally:
                self._close(file)

    def rename(self, name: str, new: str) -> None:
        """In one step; where the server lacks the rename that replaces, by the one that refuses to."""
        try:
            self._run(lambda: self._client.posix_rename(self._path(name), self._path(new)))
        except PermissionError:
            self._run(lambda: self._client.rename(self._path(name), self._path(new)))

    def unlink(self, name: str) -> None:
        """Take it away."""
        self._run(lambda: self._client.remove(self._path(name)))

    def listed(self) -> Sequence[tuple[str, int]]:
        """Plain files."""
        entries = self._run(lambda: self._client.readdir(self._folder))
        return [
            (str(entry.filename), int(entry.attrs.size or 0))
            for entry in entries
            if entry.attrs.permissions is not None and stat.S_ISREG(entry.attrs.permissions)
        ]

    def read(self, name: str, most: int) -> bytes:
        """A link is refused as a file that is not there."""
        told = self._run(lambda: self._client.lstat(self._path(name)))
        if told.permissions is None or not stat.S_ISREG(told.permissions):
            raise FileNotFoundError
        file = self._run(lambda: self._client.open(self._path(name), "rb"))
        parts: list[bytes] = []
        left = most
        try:
            while left and (chunk := self._run(partial(file.read, min(CHUNK, left)))):
                parts.append(chunk)
                left -= len(chunk)
        finally:
            self._close(file)
        return b"".join(parts)

    def _close(self, file: asyncssh.SFTPClientFile) -> None:
        # After a failure the connection may be gone; what matters was told before.
        with contextlib.suppress(OSError):
            self._run(file.close)


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]
        return
    with data.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk


async def _bounded(act: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    """One step within its time; every failure is an OSError, as `Far` says, or a refusal."""
    try:
        async with asyncio.timeout(seconds):
            return await act()
    except _GONE as error:
        raise FileNotFoundError(str(error.code)) from error
    except _UNABLE as error:
        raise PermissionError(str(error.code)) from error
    except (asyncssh.SFTPError, asyncssh.Error) as error:
        raise OSError(f"{type(error).__name__} {error.code}") from error
    except OSError as error:
        # A file that is missing here, with us, is no answer of the server.
        raise OSError(type(error).__name__) from error


async def _leave(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(_LEAVING):
            await connection.wait_closed()
    except (TimeoutError, OSError, asyncssh.Error):
        connection.abort()
