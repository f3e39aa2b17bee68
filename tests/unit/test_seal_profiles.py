"""A seal profile as it is written: what it may say, and how it is told what is wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.seals import profile as profiles
from service.seals.errors import ProfileRefused
from service.seals.opening import open_key
from service.seals.profile import CscKey, PemKey, Pkcs11Key, Pkcs12Key, Secret, read_profile
from service.seals.refused import RefusedPins
from service.seals.sealers import in_files, names_in
from signing.algorithms import Mechanism
from signing.report import Level

TOKEN = """
level = "B-LT"
certify = "forms"
stop_days = 3

[key]
provider = "pkcs11"
module = "/usr/lib/softhsm/libsofthsm2.so"
token = "belastingen"
label = "seal-2026"
id = "0a1B"
pin = { file = "/run/secrets/pin" }
certificate = "belastingen.pem"
mechanism = "rsa-pss-sha384"

[next]
from = 2027-01-15T00:00:00+01:00

[next.key]
provider = "csc"
url = "https://sign.example/csc/v2"
credential = "seal-1"
client_id = "zending"
secret = { env = "SIGN_SECRET" }
pin = { file = "csc-pin" }
"""


def written(folder: Path, text: str, name: str = "a") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


def refused(folder: Path, text: str) -> str:
    written(folder, text)
    with pytest.raises(ProfileRefused) as caught:
        read_profile(folder, "a")
    assert caught.value.code == "seal_profile_refused"
    assert caught.value.retryable
    return caught.value.detail


def test_a_profile_says_where_its_keys_are_and_what_is_made(tmp_path: Path) -> None:
    written(tmp_path, TOKEN)
    read = read_profile(tmp_path, "a")
    assert (read.level, read.certify, read.margin(timedelta(days=1))) == (Level.B_LT, "forms", timedelta(days=3))
    assert isinstance(read.key, Pkcs11Key)
    assert (read.key.mechanism, read.key.id, read.key.in_files) == (Mechanism.PSS_SHA384, "0a1B", False)
    assert read.key.secrets == (Secret(file=Path("/run/secrets/pin")),)
    assert read.next is not None
    assert read.next.start == datetime(2027, 1, 14, 23, tzinfo=UTC)
    assert isinstance(read.next.key, CscKey)
    assert (read.next.key.api, read.next.key.scope, len(read.next.key.secrets)) == ("2.0", "service", 2)


def test_what_is_left_out_is_as_it_was(tmp_path: Path) -> None:
    written(tmp_path, '[key]\nprovider = "pkcs12"\nfile = "a.p12"\n')
    read = read_profile(tmp_path, "a")
    assert isinstance(read.key, Pkcs12Key)
    assert (read.level, read.certify, read.next, read.key.mechanism) == (Level.B_T, None, None, None)
    assert read.margin(timedelta(days=7)) == timedelta(days=7)


def test_three_files_need_no_profile(tmp_path: Path) -> None:
    read = read_profile(tmp_path, "tax")
    assert isinstance(read.key, PemKey)
    assert [str(file) for file in read.key.files] == ["tax.key.pem", "tax.cert.pem", "tax.chain.pem"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a\n", "a" * 101, "é"])
def test_a_name_can_not_lead_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileRefused, match="name"):
        read_profile(tmp_path, name)


FAULTS = {
    "": "key is missing",
    "[key]\n": "key needs a provider: pem, pkcs12, pkcs11 or csc",
    '[key]\nprovider = "usb"\n': "key has another provider than pem, pkcs12, pkcs11 or csc",
    '[key]\nprovider = "pkcs12"\n': "key.file is missing",
    '[key]\nprovider = "pkcs12"\nfile = "a"\ncolour = "red"\n': "key.colour is not known here",
    '[key]\nprovider = "pkcs12"\nfile = "a"\npassword = "hunter2"\n': "key.password stands elsewhere",
    '[key]\nprovider = "pkcs12"\nfile = "a"\npassword = {}\n': "key.password",
    '[key]\nprovider = "pkcs12"\nfile = "a"\nmechanism = "rsa-sha1"\n': "key.mechanism",
    'level = "B-X"\n[key]\nprovider = "pkcs12"\nfile = "a"\n': "level",
    'certify = "all"\n[key]\nprovider = "pkcs12"\nfile = "a"\n': "certify",
    'stop_days = -1\n[key]\nprovider = "pkcs12"\nfile = "a"\n': "stop_days",
    TOKEN.replace('token = "belastingen"\n', ""): "name the token by its label",
    TOKEN.replace('label = "seal-2026"\nid = "0a1B"\n', ""): "name the key by its label",
    TOKEN.replace('id = "0a1B"', 'id = "xyz"'): "key.id",
    TOKEN.replace("/usr/lib/softhsm/", ""): "module is the whole path",
    TOKEN.replace('pin = { file = "/run/secrets/pin" }', 'pin = "2468"'): "key.pin stands elsewhere",
    TOKEN.replace("https://", "http://"): "it begins with https://",
    TOKEN.replace("2027-01-15T00:00:00+01:00", "2027-01-15T00:00:00"): "next.from",
    TOKEN.replace('secret = { env = "SIGN_SECRET" }\n', ""): "next.key.secret is missing",
    "key = [": "no TOML",
    "[key]\n[key]\n": "no TOML",
    'pin = "hunter2" x': "no TOML (line 1)",
    "#" * (profiles.LARGEST + 1): "too long",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_a_profile_is_told_what_is_wrong_and_never_what_it_says(text: str, tmp_path: Path) -> None:
    said = refused(tmp_path, text)
    assert FAULTS[text] in said
    assert "hunter2" not in said
    assert "2468" not in said


def test_a_profile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileRefused, match="UTF-8"):
        read_profile(tmp_path, "a")
    (tmp_path / "b.toml").mkdir()
    with pytest.raises(ProfileRefused, match="can't be read"):
        read_profile(tmp_path, "b")


def test_a_secret_is_read_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pin").write_text(" 1234\n")
    monkeypatch.setenv("A_PIN", "5678\n")
    assert Secret(file=Path("pin")).read(tmp_path) == "1234"
    assert Secret(file=tmp_path / "pin").read(Path("/nowhere")) == "1234"
    assert Secret(env="A_PIN").read(tmp_path) == "5678"


@pytest.mark.parametrize("secret", [Secret(file=Path("none")), Secret(env="NOT_SET"), Secret(file=Path("empty"))])
def test_a_secret_that_is_not_there_is_said(secret: Secret, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ProfileRefused, match="secret"):
        secret.read(tmp_path)


def test_keys_in_files_are_found_wherever_a_profile_names_them(tmp_path: Path) -> None:
    (tmp_path / "old.key.pem").touch()
    (tmp_path / "moved.key.pem").touch()
    written(tmp_path, TOKEN, "moved")
    written(tmp_path, TOKEN, "token")
    written(tmp_path, "rubbish", "broken")
    pem = TOKEN.partition("[next.key]")[0] + '[next.key]\nprovider = "pkcs12"\nfile = "next.p12"\n'
    written(tmp_path, pem, "coming")
    assert names_in(tmp_path) == ["broken", "coming", "moved", "old", "token"]
    assert in_files(tmp_path) == ["coming", "old"]


@pytest.mark.parametrize(("field", "said"), [("certificate", "certificate"), ("authorities", "authorities")])
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_a_profile_names_and_that_is_none_is_said(
    field: str, said: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    place = CscKey(
        provider="csc",
        url="https://sign.invalid/csc/v2",
        credential="c",
        secret=Secret(env="S"),
        **{field: Path("file")},
    )
    with pytest.raises(ProfileRefused, match=said):
        open_key(place, tmp_path, RefusedPins())


def test_refused_pins_are_remembered_beyond_the_process(tmp_path: Path) -> None:
    first = RefusedPins(tmp_path / "refused")
    assert not first.knows("here", "1234")
    first.add("here", "1234")
    first.add("here", "1234")
    second = RefusedPins(tmp_path / "refused")
    assert second.knows("here", "1234")
    assert not second.knows("elsewhere", "1234")
    assert not second.knows("here", "12345")
    assert [file.stat().st_size for file in (tmp_path / "refused").iterdir()] == [0]
    second.forget()
    assert not first.knows("here", "1234")


def test_what_can_not_be_written_down_is_remembered_by_the_process(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("in the way")
    for pins in (RefusedPins(tmp_path / "refused"), RefusedPins()):
        pins.add("here", "1234")
        assert pins.knows("here", "1234")
        pins.forget()
        assert not pins.knows("here", "1234")
