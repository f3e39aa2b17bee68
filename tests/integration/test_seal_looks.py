"""The look of a seal profile at work: read from its table, made, put on documents, and printed."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from printing.checks import check_letter
from printing.profiles import load
from service.cli.main import zending
from service.db.jobs import JobKind
from service.seals import looks
from service.seals import sealers as module
from service.seals.errors import ProfileRefused
from service.seals.looks import look_apart
from service.seals.making import maker
from service.seals.profile import read_profile
from service.seals.sealers import Sealers
from service.usecases import deliveries, verification
from service.usecases.admission import Upload
from signing.appearance import Shown
from signing.seal import Sealer
from signing.validate import validate
from tests.appearance_support import CODE, appearance, codes, described, logo, sealed, seen
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.printing_support import letter, texts_of
from tests.service_support import DOCUMENTS
from tests.signing_support import InProcessAuthority, credential, pki, plain_pdf, revocation, roots, seal_key
from tests.usecase_support import Sender

LOOK = """
[appearance]
organisation = "Gemeente Voorbeeld"
language = "fr"
logo = "logo.png"
check_address = "https://zending.voorbeeld.be/verify?code={code}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = credential("p-256")
    for part, file in (("key", made.key), ("cert", made.certificate), ("chain", made.chain)):
        shutil.copy(file, tmp_path / f"tax.{part}.pem")
    (tmp_path / "logo.png").write_bytes(logo())
    write(tmp_path)
    return tmp_path


def write(folder: Path, more: str = LOOK) -> None:
    key = 'provider = "pem"\nkey = "tax.key.pem"\ncertificate = "tax.cert.pem"\nchain = "tax.chain.pem"\n'
    (folder / "tax.new").write_text(f'level = "B-T"\n[key]\n{key}{more}')
    (folder / "tax.new").replace(folder / "tax.toml")


@pytest.fixture
def sealers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sealers:
    monkeypatch.setattr(module, "LOOKED_AT_EVERY", 0.0)
    # Nobody is asked at level B-T: who is away holds nothing up.
    make = maker(InProcessAuthority(), revocation("http://127.0.0.1:9/"), folder)
    return Sealers(folder, make, clock=lambda: datetime.now(UTC), margin=timedelta(days=1), files_allowed=True)


def test_a_profile_with_a_look_seals_visibly(sealers: Sealers) -> None:
    done = sealers.of("tax").seal(plain_pdf(), at=datetime.now(UTC), code=CODE)
    assert validate(done, trust_roots=roots(), at=datetime.now(UTC)).valid
    assert codes(seen(done)) == [f"https://zending.voorbeeld.be/verify?code={CODE}"]
    assert described(done).startswith("Cacheté électroniquement par Gemeente Voorbeeld")


def test_a_profile_without_one_seals_invisibly(sealers: Sealers, folder: Path) -> None:
    write(folder, "")
    done = sealers.of("tax").seal(plain_pdf(), at=datetime.now(UTC), code=CODE)
    assert seen(done).tobytes() == seen(plain_pdf()).tobytes()


def test_another_logo_is_taken_up(sealers: Sealers, folder: Path) -> None:
    first = sealers.of("tax")
    assert sealers.of("tax") is first
    (folder / "logo.png").write_bytes(logo())
    os.utime(folder / "logo.png", (1, 1))
    assert sealers.of("tax") is not first


WRONG: dict[str, tuple[str, str]] = {
    "an unknown corner": ('[appearance]\norganisation = "A"\nlanguage = "nl"\ncorner = "middle"\n', "appearance"),
    "no organisation": ('[appearance]\nlanguage = "nl"\n', "organisation"),
    "a page of no number": ('[appearance]\norganisation = "A"\nlanguage = "nl"\npage = 0\n', "counted from 1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_table_that_cannot_be_meant_is_refused_with_words(folder: Path, what: str) -> None:
    write(folder, WRONG[what][0])
    with pytest.raises(ProfileRefused, match=WRONG[what][1]):
        read_profile(folder, "tax")


def no_logo(folder: Path) -> None:
    (folder / "logo.png").unlink()


def broken_logo(folder: Path) -> None:
    (folder / "logo.png").write_bytes(b"GIF89a")


def huge_logo(folder: Path) -> None:
    (folder / "logo.png").write_bytes(bytes(looks._LARGEST_LOGO + 1))


@pytest.mark.parametrize("harm", [no_logo, broken_logo, huge_logo])
def test_a_logo_that_cannot_be_used_makes_documents_wait(
    sealers: Sealers, folder: Path, harm: Callable[[Path], None]
) -> None:
    harm(folder)
    with pytest.raises(ProfileRefused) as caught:
        sealers.of("tax")
    assert caught.value.retryable


def test_zending_keys_seals_check_says_what_is_wrong_with_a_look(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENDING_MODE", "demo")
    seals = tmp_path / "keys" / "seals"
    shutil.copytree(folder, seals, ignore=shutil.ignore_patterns("keys"))
    shutil.copy(pki().trust_anchor, seals.parent / "trust.pem")

    def check() -> Any:
        return CliRunner().invoke(zending, ["keys", "--folder", str(seals.parent), "seals", "check", "tax"])

    assert "look" not in check().output
    broken_logo(seals)
    said = check()
    assert said.exit_code != 0
    assert "PNG" in said.output


def test_a_page_that_crashes_whoever_looks_at_it_is_sealed_invisibly_and_that_is_logged(
    sealers: Sealers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "look", lambda *_: os.abort())
    with capture_logs() as logs:
        done = sealers.of("tax").seal(plain_pdf(), at=datetime.now(UTC))
    assert validate(done, trust_roots=roots(), at=datetime.now(UTC)).valid
    assert [entry for entry in logs if entry["event"] == "seal_not_shown"] == [
        {"event": "seal_not_shown", "reason": "page_not_shown", "log_level": "info"}
    ]


def test_looking_apart_from_a_file_leaves_it_where_it_stood(tmp_path: Path) -> None:
    """A child shares the place in a file with its parent."""
    (tmp_path / "a.pdf").write_bytes(plain_pdf())
    told: list[Shown] = []
    target = tmp_path / "sealed.pdf"
    sealer = Sealer(seal_key(), None, appearance=appearance(look_at=look_apart), shown=told.append)
    with (tmp_path / "a.pdf").open("rb") as source, target.open("w+b") as file:
        sealer.seal_file(source, file, at=datetime.now(UTC), code=CODE)
    assert told[0].page == 1
    assert validate(target.read_bytes(), trust_roots=roots(), at=datetime.now(UTC)).valid


def test_a_visible_seal_is_printed_with_the_letter() -> None:
    """Inside of what print houses allow, and drawn although it is a field."""
    paper = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
    made = letter(sealed(paper).pdf)
    assert check_letter(made.pdf, sheets=made.sheets, profile=load(), duplex=made.duplex).problems == ()
    assert any(CODE in found for number in (2, 3) for found in codes(seen(made.pdf, number, fields=False)))
    assert any("Gemeente Voorbeeld" in text for text in texts_of(made.pdf))


def test_a_delivery_of_an_organisation_with_a_look_is_sealed_visibly(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation("tax")
    seals = pipeline.application.settings.keys_folder / "seals"
    (seals / "logo.png").write_bytes(logo())
    write(seals)
    delivery = pipeline.hand_in(sender).delivery_id
    pipeline.work(JobKind.SEAL)
    done = deliveries.document(pipeline.context, sender, delivery, 0).content
    assert "Gemeente Voorbeeld" in described(done)
    ((shown,),) = (re.findall(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", described(done)),)
    found = verification.look_up(pipeline.context, shown.lower().replace("-", " "))
    assert found is not None
    assert found.organisation == "Organisation tax"
    assert found.sha256 == hashlib.sha256(done).digest()
    assert not found.erased
    other = ("Z" if shown[0] != "Z" else "Y") + shown[1:]
    assert verification.look_up(pipeline.context, other) is None
    assert verification.look_up(pipeline.context, "no code") is None
    execute(database, "UPDATE document SET erased_at = now()")
    found = verification.look_up(pipeline.context, shown)
    assert found is not None
    assert found.erased


def test_a_code_that_is_not_shown_is_not_known(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation("tax")
    write(pipeline.application.settings.keys_folder / "seals")
    (pipeline.application.settings.keys_folder / "seals" / "logo.png").write_bytes(logo())
    signed = (DOCUMENTS / "signed-nl.pdf").read_bytes()
    pipeline.hand_in(sender, uploads=[Upload("document", "a.pdf", signed)])
    pipeline.work(JobKind.SEAL)
    assert execute(database, "SELECT count(*) FROM verification_code") == [(0,)]
