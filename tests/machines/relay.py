"""Carries TCP connections from one address to others: a load balancer, or the way to a neighbour's loopback.

``python relay.py HOST:PORT TARGET... [--ready /health/ready]``: with ``--ready`` only targets that answer this path
with 200 get connections, each in turn.
"""

import argparse
import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterator

Address = tuple[str, int]
_SECONDS = 2.0
_PAUSE = 0.1
_QUEUE_SECONDS = 25.0


class Targets:
    """Where connections may go, each target in its turn while it says that it is ready."""

    def __init__(self, addresses: list[Address], path: str | None) -> None:
        self._path = path
        self._ready = dict.fromkeys(addresses, path is None)
        self._turns: Iterator[Address] = itertools.cycle(addresses)

    async def watch(self, address: Address) -> None:
        while self._path is not None:
            try:
                self._ready[address] = await asyncio.wait_for(self._ask(address), _SECONDS)
            except (OSError, TimeoutError):
                self._ready[address] = False
            await asyncio.sleep(_PAUSE)

    async def _ask(self, address: Address) -> bool:
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in await reader.readline()
        finally:
            writer.close()

    async def connect(self) -> socket.socket | None:
        """The next target that is ready; waits a while where none is, as a balancer with a queue does."""
        for _ in range(int(_QUEUE_SECONDS / _PAUSE)):
            for _ in self._ready:
                address = next(self._turns)
                if self._ready[address]:
                    with contextlib.suppress(OSError, TimeoutError):
                        return await asyncio.wait_for(_connected(address), _SECONDS)
            await asyncio.sleep(_PAUSE)
        return None


async def _connected(address: Address) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


async def _pour(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, 65_536):
        await loop.sock_sendall(target, piece)


async def _carry(client: socket.socket, chosen: Targets) -> None:
    """Carry both ways until one side ends. Plain sockets: asyncio's streams forget what came before a reset."""
    with client:
        there = await chosen.connect()
        if there is None:
            return
        with there:
            up, down = (asyncio.create_task(_pour(*way)) for way in ((client, there), (there, client)))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and up.exception() is not None:
                # It takes no more of the request; what it said about that is still passed on.
                await asyncio.wait({down}, timeout=_SECONDS)
            for way in (up, down):
                way.cancel()
            await asyncio.gather(up, down, return_exceptions=True)


async def run(listening: Address, targets: list[Address], path: str | None) -> None:
    chosen, loop = Targets(targets, path), asyncio.get_running_loop()
    carried: set[asyncio.Task[None]] = set()

    async def serve(door: socket.socket) -> None:
        while True:
            client, _ = await loop.sock_accept(door)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            carried.add(task := asyncio.create_task(_carry(client, chosen)))
            task.add_done_callback(carried.discard)

    with socket.create_server(listening, backlog=256) as door:
        door.setblocking(False)
        await asyncio.gather(serve(door), *(chosen.watch(each) for each in targets))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("listening", type=_address)
    parser.add_argument("targets", type=_address, nargs="+")
    parser.add_argument("--ready")
    given = parser.parse_args()
    asyncio.run(run(given.listening, given.targets, given.ready))
