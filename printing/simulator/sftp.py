"""The simulated print house's SFTP server: both of its folders, for whoever holds one of the keys that it knows."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh


@dataclass(frozen=True)
class Serving:
    """A running server: its port, and the line by which its key is pinned."""

    port: int
    host_key: str


def host_key(file: Path) -> asyncssh.SSHKey:
    """The server's key, made at the first start."""
    try:
        return asyncssh.read_private_key(file)
    except FileNotFoundError:
        made = asyncssh.generate_private_key("ssh-ed25519")
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(made.export_private_key())
        return made


@contextmanager
def serving(
    root: Path, *, port: int, key: asyncssh.SSHKey, authorized: Path, host: str = "127.0.0.1"
) -> Iterator[Serving]:
    """Serve a folder and nothing beside it, in a thread, until the block ends.

    Args:
        root: what clients see as ``/``.
        port: 0 for any.
        key: the server's.
        authorized: public keys as in ``authorized_keys``; whoever holds one comes in, by whatever name.
        host: the address on which it answers.

    Raises:
        OSError: the port is taken, or the file can't be read.
        ValueError: the file of keys holds none.
    """

    def factory(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=os.fsencode(root))

    keys = asyncssh.import_authorized_keys(authorized.read_text("utf-8"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sftp", daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            host,
            port,
            server_host_keys=[key],
            authorized_client_keys=keys,
            sftp_factory=factory,
            agent_forwarding=False,
        )

    async def end(listening: asyncssh.SSHAcceptor) -> None:
        listening.close()
        await listening.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        listening = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        try:
            yield Serving(listening.get_port(), key.export_public_key().decode().strip())
        finally:
            asyncio.run_coroutine_threadsafe(end(listening), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
