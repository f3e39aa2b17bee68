"""``zending keys seals`` as somebody new would try it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli.main import zending
from service.embedded.pki import ensure_pki
from tests.csc_support import CLIENT, CREDENTIAL, SECRET, remote_service
from tests.csc_support import PIN as REMOTE_PIN
from tests.signing_support import credential, pki, place_seal_files, tsa_credential
from tests.softhsm_support import MODULE, PIN, new_token, put_key, remove_token, shared_token

Call = Callable[..., Result]


@pytest.fixture
def seals(tmp_path: Path) -> Path:
    folder = tmp_path / "keys" / "seals"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def call(seals: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("ZENDING_MODE", "demo")
    monkeypatch.setenv("ZENDING_HOME", str(seals.parent.parent / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(zending, ["keys", "--folder", str(seals.parent), "seals", *words])


def by_token(pin: str, token: str | None = None, label: str = "rsa-3072") -> str:
    name = token or shared_token().label
    text = f'[key]\nprovider = "pkcs11"\nmodule = "{MODULE}"\ntoken = "{name}"\nlabel = "{label}"\n'
    return f'{text}mechanism = "rsa-pss-sha256"\npin = {{ env = "{pin}" }}\n'


def test_every_profile_is_listed(call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S_PIN", PIN)
    place_seal_files(seals, credential("p-256"), "old")
    turn = datetime.now(UTC) + timedelta(days=3)
    made = credential("p-384")
    coming = f'[next.key]\nprovider = "pem"\nkey = "{made.key}"\ncertificate = "{made.certificate}"\n'
    (seals / "new.toml").write_text(f'level = "B-B"\n{by_token("S_PIN")}[next]\nfrom = {turn.isoformat()}\n{coming}')
    (seals / "broken.toml").write_text("[key]\n")
    done = call("list")
    assert done.exit_code == 0, done.output
    for word in ("old", "pem", "ecdsa-sha256", "B-T", "new", "pkcs11", "rsa-pss-sha256", "B-B", "ecdsa-sha384"):
        assert word in done.output
    assert "needs a provider" in " ".join(done.output.split())
    assert f"{turn:%Y-%m-%d}" in done.output


def test_every_key_is_tried(call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S_PIN", PIN)
    (seals / "new.toml").write_text(by_token("S_PIN"))
    good = call("check")
    assert good.exit_code == 0, good.output
    assert "new: signs by rsa-pss-sha256 in" in good.output
    place_seal_files(seals, credential("p-256"), "old")
    ending = tsa_credential(tmp_path, usage=None, days=0)
    (seals / "late.toml").write_text(
        f'[key]\nprovider = "pem"\nkey = "{ending.key}"\ncertificate = "{ending.certificate}"\n'
        f"[next]\nfrom = 2040-01-01T00:00:00Z\n[next.key]\n"
        'provider = "pkcs12"\nfile = "none.p12"\n'
    )
    (seals / "nopin.toml").write_text(by_token("NOT_SET"))
    (seals / "nokey.toml").write_text(by_token("S_PIN", label="none"))
    bad = call("check")
    assert bad.exit_code == 1
    for line in (
        "late: certificate_ending: ",
        "late (next key): key_unusable: The PKCS#12 file",
        "nopin: seal_profile_refused: A secret of the seal profile is not set",
        "nokey: key_unusable: The token has no such key",
        "old: signs by ecdsa-sha256",
        "4 key(s) or looks can't be used",
    ):
        assert line in bad.output, bad.output
    assert call("check", "old", "new").exit_code == 0


def test_a_wrong_pin_is_said_and_not_tried_again(call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_token("cli")
    put_key("cli", "rsa-3072")
    monkeypatch.setenv("WRONG_PIN", "9999")
    (seals / "new.toml").write_text(by_token("WRONG_PIN", "cli"))
    first, second = call("check"), call("check")
    remove_token("cli")
    assert "refuses the PIN" in first.output
    assert "not tried again" in second.output
    assert "9999" not in first.output + second.output


def test_a_pin_that_a_service_refused_is_shown_again_only_when_somebody_says_so(
    call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R_SECRET", SECRET)
    monkeypatch.setenv("R_PIN", "0000")
    with remote_service() as (service, url):
        (seals / "far.toml").write_text(
            f'[key]\nprovider = "csc"\nurl = "{url}"\ncredential = "{CREDENTIAL}"\nclient_id = "{CLIENT}"\n'
            'secret = { env = "R_SECRET" }\npin = { env = "R_PIN" }\n'
        )
        assert "invalid_pin" in call("check").output
        # Each command is a process of its own, as each worker is.
        assert "not tried again" in call("check").output
        assert service.pins == ["0000"]
        assert "0000" not in "".join(str(file) for file in seals.parent.parent.rglob("*"))
        assert "invalid_pin" in call("check", "--again").output
        assert service.pins == ["0000"] * 2
        monkeypatch.setenv("R_PIN", REMOTE_PIN)
        assert call("check").exit_code == 0


def test_production_says_that_files_are_none_of_its_keys(
    call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_seal_files(seals, credential("p-256"), "old")
    monkeypatch.delenv("ZENDING_MODE")
    done = call("check")
    assert (done.exit_code, "seal_key_in_file" in done.output) == (1, True)
    (seals.parent / "DEMO").touch()
    assert call("check").exit_code == 0


def test_a_certificate_that_leads_to_no_trusted_root_is_said(
    call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place_seal_files(seals, credential("p-256"), "old")
    monkeypatch.setenv("ZENDING_TRUST_ANCHOR", str(pki().trust_anchor))
    assert call("check").exit_code == 0
    monkeypatch.setenv("ZENDING_TRUST_ANCHOR", str(ensure_pki(tmp_path / "other").trust_anchor))
    done = call("check")
    assert (done.exit_code, "does not lead to a root" in done.output) == (1, True)


def test_a_profile_that_is_not_there_is_said(call: Call, seals: Path) -> None:
    assert "there is no profile in" in call("list").output
    place_seal_files(seals, credential("p-256"), "old")
    done = call("check", "new")
    assert (done.exit_code, "there is no profile new" in done.output, "there are: old" in done.output) == (
        1,
        True,
        True,
    )


def test_a_margin_that_is_no_number_is_said(call: Call, seals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_seal_files(seals, credential("p-256"), "old")
    monkeypatch.setenv("ZENDING_SEAL_STOP_DAYS", "soon")
    done = call("check")
    assert (done.exit_code, "ZENDING_SEAL_STOP_DAYS" in done.output) == (1, True)
    monkeypatch.setenv("ZENDING_SEAL_STOP_DAYS", "365")
    assert call("check").exit_code == 0
