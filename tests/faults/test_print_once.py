"""A process that is killed between upload and rename, and everything replayed twice: every letter is printed once."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from printing.exchange import Events, LetterEvent, PostalEvent, decode
from printing.providers.base import Parcel, PrintProvider, hand_over
from printing.providers.directory import DirectoryProvider
from printing.providers.sftp import SftpProvider, SftpServer
from printing.simulator.sftp import host_key, serving
from tests.embedded_support import CHECKOUT, environment
from tests.print_house_support import Place, letters, package, sha256
from tests.sftp_support import key

pytestmark = pytest.mark.faults

COUNT: Final = 4
MOMENTS: Final = ("after upload", "at commit", "before rename", "after rename")
_PROGRAM: Final = """
import os, signal, sys
from pathlib import Path
from printing.providers.base import Parcel, hand_over
from printing.providers.directory import DirectoryProvider
from printing.providers.sftp import SftpProvider, SftpServer

data, ledger, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
way = {way}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def around(act, name):
    def acting(*arguments):
        if moment == "before " + name:
            die()
        done = act(*arguments)
        if moment == "after " + name:
            die()
        return done
    return acting

way.upload = around(way.upload, "upload")
way.publish = around(way.publish, "rename")

def commit():
    ledger.touch()
    if moment == "at commit":
        die()

hand_over(way, {parcel}, data, uploaded=ledger.exists(), commit_uploaded=commit)
"""


@dataclass
class Way:
    """A way to a simulated print house, for this process and as a program writes it."""

    place: Place
    provider: PrintProvider
    written: str


@pytest.fixture(params=["directory", "sftp"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    place = Place(tmp_path / "root", {"tracked": True})
    if request.param == "directory":
        yield Way(place, DirectoryProvider(place.out, place.told), f"DirectoryProvider(Path({str(place.out)!r}))")
        return
    secret, known = tmp_path / "client.key", tmp_path / "authorized"
    key("client").write_private_key(secret)
    key("client").write_public_key(known)
    with serving(place.root, port=0, key=host_key(tmp_path / "host.key"), authorized=known) as server:
        told = SftpServer("127.0.0.1", server.port, "voorbeel", server.host_key, secret, "/out", "/in")
        written = repr(told).replace(repr(secret), f"Path({str(secret)!r})")
        yield Way(place, SftpProvider(told), f"SftpProvider({written})")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_death_and_two_replays_of_everything_print_every_letter_once(way: Way, tmp_path: Path, moment: str) -> None:
    place = way.place
    name, data = package(7, letters(COUNT))
    parcel = Parcel(name, len(data), sha256(data))
    frozen, ledger = tmp_path / "frozen", tmp_path / "committed"
    frozen.write_bytes(data)
    program = _PROGRAM.format(way=way.written, parcel=repr(parcel))
    arguments = [sys.executable, "-c", program, str(frozen), str(ledger)]
    done = subprocess.run([*arguments, moment], check=False, cwd=CHECKOUT, env=environment())
    assert done.returncode == -signal.SIGKILL
    said: list[str] = []
    for _ in range(2):
        # The batch is handed over again, and the print house is another process each time.
        hand_over(way.provider, parcel, frozen, uploaded=ledger.exists(), commit_uploaded=ledger.touch)
        with place.house() as house:
            said += house.round()
            place.days(1, house)
    for _ in range(2):
        # What a network can do: the very file arrives again.
        shutil.copy(frozen, place.out / "again")
        os.replace(place.out / "again", place.out / name)  # noqa: PTH105
        with place.house() as house:
            said += house.round()
            place.days(3, house)
    with place.house() as house:
        counts = house.counts
    assert (counts.letters, counts.printed, counts.posted, counts.submitted_again) == (COUNT, COUNT, COUNT, 2)
    assert sum("not printed again" in sentence for sentence in said) == 2
    printed = [
        event.id
        for file in way.provider.incoming()
        if "_3EV" in file.name
        for event in _events(way.provider.fetch(file.name))
        if event.event is PostalEvent.PRINTED
    ]
    assert sorted(printed) == [f"let_{number}" for number in range(COUNT)]


def _events(data: bytes) -> tuple[LetterEvent, ...]:
    message = decode(data)
    assert isinstance(message, Events)
    return message.events
