"""Seal profiles at work: each provider, exchanged files, rotation, certificates that end or were revoked."""

import io
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from service.seals import sealers as module
from service.seals.errors import CertificateEnding
from service.seals.making import maker
from service.seals.sealers import FileKeysRefused, Sealers
from signing.errors import (
    ChangesForbidden,
    KeyUnavailable,
    KeyUnusable,
    RevocationUnavailable,
    SigningError,
)
from signing.report import Level
from signing.validate import validate
from tests.csc_support import CLIENT, CREDENTIAL, PIN, SECRET, Answer, remote_service
from tests.signing_support import (
    InProcessAuthority,
    certificate_of,
    credential,
    now,
    place_seal_files,
    plain_pdf,
    roots,
    seal_key,
    tsa_credential,
)
from tests.softhsm_support import MODULE, shared_token
from tests.softhsm_support import PIN as TOKEN_PIN


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at again each time."""
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class Nobody:
    """Says nothing of any certificate."""

    def data(self, *_: Any, **__: Any) -> Any:
        raise RevocationUnavailable("Nobody is there.")


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Sealers]]:
    made: list[Sealers] = []

    def open_all(*, now: Callable[[], datetime] = now, files: bool = True, margin: float = 1.0) -> Sealers:
        make = maker(InProcessAuthority(), Nobody(), folder)
        sealers = Sealers(folder, make, clock=now, margin=timedelta(days=margin), files_allowed=files)
        made.append(sealers)
        return sealers

    yield open_all
    for sealers in made:
        sealers.close()


def write(folder: Path, text: str, name: str = "tax") -> None:
    draft = folder / f"{name}.new"
    draft.write_text(text)
    draft.replace(folder / f"{name}.toml")


def token_key(label: str = "p-256") -> str:
    token = shared_token().label
    return (
        f'provider = "pkcs11"\nmodule = "{MODULE}"\ntoken = "{token}"\nlabel = "{label}"\npin = {{ env = "T_PIN" }}\n'
    )


def pem_key(kind: Any) -> str:
    return in_pem(credential(kind))


def in_pem(made: Any) -> str:
    return f'provider = "pem"\nkey = "{made.key}"\ncertificate = "{made.certificate}"\nchain = "{made.chain}"\n'


def sealed_by(sealers: Sealers, name: str = "tax") -> Any:
    sealed = sealers.of(name).seal(plain_pdf(), at=now())
    assert validate(sealed, trust_roots=roots(), at=now()).valid
    return certificate_of(sealed)


def test_a_token_seals(folder: Path, opened: Callable[..., Sealers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_PIN", TOKEN_PIN)
    write(folder, 'level = "B-B"\n[key]\nmechanism = "ecdsa-sha384"\n' + token_key())
    sealers = opened(files=False)
    assert sealed_by(sealers) == seal_key("p-256").certificate
    assert sealers.of("tax").level is Level.B_B


def test_a_remote_service_seals_and_a_certificate_exchanged_there_is_taken_up(
    folder: Path, opened: Callable[..., Sealers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R_SECRET", SECRET)
    (folder / "pin").write_text(PIN)
    with remote_service() as (service, url):
        write(
            folder,
            f'[key]\nprovider = "csc"\nurl = "{url}"\ncredential = "{CREDENTIAL}"\nclient_id = "{CLIENT}"\n'
            'secret = { env = "R_SECRET" }\npin = { file = "pin" }\n',
        )
        sealers = opened(files=False)
        assert sealed_by(sealers) == seal_key("p-256").certificate
        service.algorithm = "p-384"
        with pytest.raises(SigningError) as caught:
            sealers.of("tax").seal(plain_pdf(), at=now())
        assert caught.value.retryable
        assert sealed_by(sealers) == seal_key("p-384").certificate
        sealers.close()


def test_a_sealer_is_kept_while_nothing_changes(folder: Path, opened: Callable[..., Sealers]) -> None:
    place_seal_files(folder, credential("p-256"))
    sealers = opened()
    assert sealers.of("tax") is sealers.of("tax")


def test_files_that_were_exchanged_are_taken_up(folder: Path, opened: Callable[..., Sealers]) -> None:
    place_seal_files(folder, credential("p-256"))
    sealers = opened()
    assert sealed_by(sealers) == seal_key("p-256").certificate
    shutil.copy(credential("p-384").key, folder / "tax.key.pem")
    with pytest.raises(KeyUnusable):  # half of it is there: documents wait
        sealers.of("tax")
    place_seal_files(folder, credential("p-384"))
    assert sealed_by(sealers) == seal_key("p-384").certificate
    write(folder, "[key]\n" + pem_key("rsa-3072"))  # a profile goes before the three files
    assert sealed_by(sealers) == seal_key("rsa-3072").certificate


def test_files_are_looked_at_no_more_often_than_they_should_be(
    folder: Path, opened: Callable[..., Sealers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 60.0)
    place_seal_files(folder, credential("p-256"))
    sealers = opened()
    first = sealers.of("tax")
    place_seal_files(folder, credential("p-384"))
    assert sealers.of("tax") is first
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 0.0)
    assert sealers.of("tax") is not first


def test_a_key_that_can_not_be_opened_is_not_tried_for_each_document(
    folder: Path, opened: Callable[..., Sealers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 60.0)
    tried: list[object] = []
    real = module.open_key
    monkeypatch.setattr(module, "open_key", lambda *place: (tried.append(place), real(*place))[1])
    sealers = opened()
    for _ in range(5):
        with pytest.raises(KeyUnusable):
            sealers.of("nobody")
    assert len(tried) == 1


def test_a_service_that_is_away_does_not_hold_up_each_document(
    folder: Path, opened: Callable[..., Sealers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R_SECRET", SECRET)
    (folder / "pin").write_text(PIN)
    with remote_service() as (service, url):
        write(
            folder,
            f'[key]\nprovider = "csc"\nurl = "{url}"\ncredential = "{CREDENTIAL}"\nclient_id = "{CLIENT}"\n'
            'timeout_seconds = 0.5\nsecret = { env = "R_SECRET" }\npin = { file = "pin" }\n',
        )
        sealers = opened()
        sealer = sealers.of("tax")
        asked: list[str] = []
        service.lie = lambda method, *_: (asked.append(method), Answer(b"{}", drip=1.0))[1]
        monkeypatch.setattr(module, "REST", 60.0)
        for _ in range(10):
            with pytest.raises(KeyUnavailable):
                sealer.seal(plain_pdf(), at=now())
        assert len(asked) == 1
        service.lie = None
        monkeypatch.setattr(module, "REST", 0.0)
        sealers._kept["tax"].keys[0].until = 0.0
        assert sealed_by(sealers)
        sealers.close()


def test_the_next_key_takes_over_at_its_moment(folder: Path, opened: Callable[..., Sealers]) -> None:
    turn = now() + timedelta(days=2)
    write(
        folder,
        f"[key]\n{pem_key('p-256')}\n[next]\nfrom = {turn.isoformat()}\n[next.key]\n{pem_key('p-384')}",
    )
    moment = [turn - timedelta(seconds=1)]
    sealers = opened(now=lambda: moment[0])
    before = sealers.of("tax").seal(plain_pdf(), at=now())
    moment[0] = turn
    after = sealers.of("tax").seal(before, at=now())
    assert certificate_of(before) == seal_key("p-256").certificate
    assert certificate_of(after) == seal_key("p-384").certificate
    assert validate(after, trust_roots=roots(), at=now()).valid, "the former seal stays valid below the next one"


def test_a_next_key_that_is_broken_does_not_stop_the_present_one(folder: Path, opened: Callable[..., Sealers]) -> None:
    turn = now() + timedelta(days=2)
    nothing = 'provider = "pkcs12"\nfile = "none.p12"\n'
    write(folder, f"[key]\n{pem_key('p-256')}\n[next]\nfrom = {turn.isoformat()}\n[next.key]\n{nothing}")
    moment = [now()]
    sealers = opened(now=lambda: moment[0])
    assert sealed_by(sealers)
    assert sealers.left("tax") > timedelta(days=365)
    moment[0] = turn
    with pytest.raises(KeyUnusable):
        sealers.of("tax")


def test_a_certificate_that_ends_soon_seals_nothing_more(folder: Path, opened: Callable[..., Sealers]) -> None:
    ending = tsa_credential(folder, usage=None, days=5)
    place_seal_files(folder, ending)
    assert opened(margin=4.9).of("tax")
    for margin in (5.1, 30):
        with pytest.raises(CertificateEnding) as caught:
            opened(margin=margin).of("tax")
        assert (caught.value.code, caught.value.retryable) == ("certificate_ending", True)
    late = opened(now=lambda: now() + timedelta(days=6))
    with pytest.raises(CertificateEnding):
        late.of("tax")
    early = opened(now=lambda: now() - timedelta(days=40))
    with pytest.raises(KeyUnusable, match="not valid yet"):
        early.of("tax")
    with pytest.raises(KeyUnusable, match="not valid yet"):
        early.left("tax")


def test_a_profile_says_how_early_it_stops(folder: Path, opened: Callable[..., Sealers]) -> None:
    ending = tsa_credential(folder, usage=None, days=5)
    text = f"[key]\n{in_pem(ending)}"
    sealers = opened(margin=1)
    write(folder, "stop_days = 2\n" + text)
    assert timedelta(days=2.9) < sealers.left("tax") < timedelta(days=3.1)
    write(folder, "stop_days = 6\n" + text)
    assert sealers.left("tax") < timedelta(0)
    with pytest.raises(CertificateEnding):
        sealers.of("tax")


@pytest.mark.parametrize(("days", "covered"), [(2, True), (4.5, False)])
def test_what_is_left_counts_the_next_key_if_it_comes_in_time(
    days: float, *, covered: bool, folder: Path, opened: Callable[..., Sealers]
) -> None:
    ending = tsa_credential(folder, usage=None, days=5)
    turn = now() + timedelta(days=days)
    text = f"[key]\n{in_pem(ending)}"
    write(folder, f"{text}[next]\nfrom = {turn.isoformat()}\n[next.key]\n{pem_key('p-256')}")
    assert (opened(margin=1).left("tax") > timedelta(days=100)) is covered


def test_production_does_not_seal_with_files(folder: Path, opened: Callable[..., Sealers]) -> None:
    place_seal_files(folder, credential("p-256"))
    with pytest.raises(FileKeysRefused) as caught:
        opened(files=False).of("tax")
    assert (caught.value.code, caught.value.retryable) == ("seal_key_in_file", True)


def test_the_profile_says_the_level_and_what_may_change_later(folder: Path, opened: Callable[..., Sealers]) -> None:
    write(folder, f'level = "B-LT"\n[key]\n{pem_key("p-256")}')
    sealers = opened()
    assert sealers.of("tax").level is Level.B_LT
    with pytest.raises(RevocationUnavailable):
        sealers.of("tax").seal(plain_pdf(), at=now())
    write(folder, f'certify = "no-changes"\n[key]\n{pem_key("p-256")}')
    certified = sealers.of("tax").seal(plain_pdf(), at=now())
    with pytest.raises(ChangesForbidden):
        sealers.of("tax").seal(certified, at=now())


APPEARANCE = '[appearance]\norganisation = "Gemeente Voorbeeld"\nlanguage = "nl"\n'


def visible(sealed: bytes) -> bool:
    field = PdfFileReader(io.BytesIO(sealed)).embedded_signatures[-1].sig_field
    left, bottom, right, top = (float(number) for number in field["/Rect"])
    return right - left > 1 and top - bottom > 1
