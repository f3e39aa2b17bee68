"""``zending print-house`` as somebody types it."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from printing.exchange import Acknowledgement, Response
from printing.providers.base import Parcel
from printing.providers.http import HttpProvider
from printing.providers.sftp import SftpProvider, SftpServer
from tests.embedded_support import CHECKOUT, environment
from tests.print_house_support import Place, letters, package, sha256
from tests.service_support import until
from tests.sftp_support import key


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "service.cli", "print-house", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment()
    )


def places(place: Place, home: Path) -> tuple[object, ...]:
    return ("--folder", place.out, "--told", place.told, "--home", home)


def test_a_round_takes_what_is_there_and_show_says_where_the_house_stands(tmp_path: Path) -> None:
    place = Place(tmp_path / "root")
    name, data = package(7, letters(2))
    place.bring(name, data)
    done = run("run", *places(place, tmp_path / "home"), "--once", "--reject", "1")
    assert done.returncode == 0, done.stderr
    assert f"{name} has arrived with 2 letters" in done.stdout
    assert "2 letters" in done.stdout.splitlines()[-1]
    assert [each.accepted for each in place.of(Response)[0].letters] == [False, False]
    place.bring(name, data)
    assert "not printed again" in run("run", *places(place, tmp_path / "home"), "--once").stdout
    shown = dict(line.rsplit(maxsplit=1) for line in run("show", "--home", tmp_path / "home").stdout.splitlines())
    assert (shown["letters"], shown["rejected"], shown["printed"], shown["submitted again"]) == ("2", "2", "0", "1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--replay", "1.5"), "between 0 and 1"),
        (("--lose", "0.6", "--return", "0.6"), "more than all letters"),
        (("--profile", "none"), "no profile none"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    done = run("run", *places(Place(tmp_path / "root"), tmp_path / "home"), "--once", *options)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_sftp_with_a_key_that_stays_and_takes_what_is_brought(tmp_path: Path) -> None:
    place = Place(tmp_path / "root")
    secret, known = tmp_path / "client.key", tmp_path / "authorized"
    key("client").write_private_key(secret)
    key("client").write_public_key(known)
    arguments = command("serve", *places(place, tmp_path / "home"), "--sftp", 0, "--authorized", known)
    pinned = []
    for _ in range(2):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment())
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            port = int(lines[0].rstrip(".\n").rsplit(maxsplit=1)[1])
            pinned.append(lines[2].partition(": ")[2].strip())
            provider = SftpProvider(
                SftpServer("127.0.0.1", port, "voorbeel", pinned[-1], secret, "/out", "/in", seconds=10)
            )
            provider.look()
            name, data = package(len(pinned), letters(1))
            parcel = Parcel(name, len(data), sha256(data))
            provider.upload(parcel, data)
            provider.publish(parcel)
            until(partial(_answered, provider, len(pinned)), "an answer")
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert name in rest
    assert pinned[0] == pinned[1]
    assert (tmp_path / "home" / "host.key").stat().st_mode & 0o777 == 0o600
    assert {each.batch for each in place.of(Acknowledgement)} == {1, 2}


def _answered(provider: SftpProvider, batch: int) -> bool:
    return any(f"_{batch:010}_" in each.name for each in provider.incoming())


def test_its_own_book_is_never_served(tmp_path: Path) -> None:
    place = Place(tmp_path / "root")
    known = tmp_path / "authorized"
    key("client").write_public_key(known)
    done = run("serve", *places(place, place.root / "home"), "--sftp", 0, "--authorized", known)
    assert done.returncode == 1
    assert "--home elsewhere" in done.stderr


def test_it_serves_http_to_who_shows_the_token(tmp_path: Path) -> None:
    place = Place(tmp_path / "root")
    (tmp_path / "token").write_text("a-token\n")
    arguments = command("serve", *places(place, tmp_path / "home"), "--http", 0, "--token", tmp_path / "token")
    name, data = package(7, letters(2))
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment())
    try:
        assert process.stdout is not None
        url = process.stdout.readline().partition(" on ")[2].partition(",")[0]
        provider = HttpProvider(url, "a-token", partial(httpx.Client, timeout=10, trust_env=False), seconds=10)
        parcel = Parcel(name, len(data), sha256(data))
        provider.upload(parcel, data)
        provider.publish(parcel)
        until(lambda: len(provider.incoming()) == 2, "its answers")
        assert [each.sha256 for each in place.of(Acknowledgement)] == [sha256(data)]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--sftp with --authorized"),
        (("--http", "0"), "--http with --token"),
        (("--http", "0", "--token", "TOKEN", "--callback", "http://127.0.0.1:1"), "--callback-secret"),
    ],
)
def test_what_does_not_go_together_is_told_before_it_serves(
    tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "token").write_text("a-token")
    given = [str(tmp_path / "token") if each == "TOKEN" else each for each in options]
    done = run("serve", *places(Place(tmp_path / "root"), tmp_path / "home"), *given)
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr
