"""Carries TCP connections from one address to others: a load balancer, or the way to a neighbour's loopback.

``python relay.py HOST:PORT TARGET... [--ready /health/ready]``: with ``--ready`` only targets that answer this path
with 200 get connections, each in turn.
"""

import argparse
import asyncio
import contextlib
import itertools
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

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The next target that is ready; waits a while where none is, as a balancer with a queue does."""
        for _ in range(int(_QUEUE_SECONDS / _PAUSE)):
            for _ in self._ready:
                address = next(self._turns)
                if self._ready[address]:
                    with contextlib.suppress(OSError, TimeoutError):
                        return await asyncio.wait_for(asyncio.open_connection(*address), _SECONDS)
            await asyncio.sleep(_PAUSE)
        return None


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def run(listening: Address, targets: list[Address], path: str | None) -> None:
    chosen = Targets(targets, path)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await chosen.connect()
        if there is None:
            writer.close()
            return
        await asyncio.gather(_pour(reader, there[1]), _pour(there[0], writer))

    server = await asyncio.start_server(carry, *listening, backlog=256)
    async with server:
        await asyncio.gather(server.serve_forever(), *(chosen.watch(each) for each in targets))


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
