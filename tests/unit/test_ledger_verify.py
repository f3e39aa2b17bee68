"""The offline verifier: what holds, what was changed, and that it runs alone."""

import ast
import base64
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from service.ledger import checkpoint, notes, verify
from tests.ledger_support import NOW, TestAuthority, evidence, signer

KEYS = signer().vkeys
HEAD = checkpoint.parse(notes.split(str(evidence()["checkpoint"]))[0])


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority()


def results(document: dict[str, Any], keys: tuple[str, ...] = KEYS, **more: Any) -> dict[str, bool | None]:
    """Each check's name and outcome; of several with one name, a failure wins."""
    found: dict[str, bool | None] = {}
    for check in verify.verify_evidence(document, keys, **more):
        if found.get(check.name) is not False:
            found[check.name] = check.ok
    return found


def stamped(authority: TestAuthority, **more: Any) -> dict[str, Any]:
    return {**evidence(), "timestamp_token": base64.b64encode(authority.token(HEAD.digest, **more)).decode()}


def test_untouched_evidence_holds() -> None:
    assert results(evidence()) == {"record": True, "inclusion": True, "checkpoint": True, "time-stamp": None}


@pytest.mark.parametrize("kind", ["ec", "rsa", "pss"])
def test_time_stamped_evidence_holds(kind: str) -> None:
    made = TestAuthority(kind=kind)
    assert results(stamped(made))["time-stamp"] is True
    assert results(stamped(made))["authority"] is None
    assert "authority" not in results(stamped(made), tsa_issuers=[made.ca])
    assert results(stamped(made), tsa_issuers=[made.ca])["time-stamp"] is True


def set_(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.__setitem__(name, value)


def in_record(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["record"].__setitem__(name, value)


def in_text(field: str, old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        assert old in document[field]
        document[field] = document[field].replace(old, new, 1)

    return change


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return change


def drop_ml_dsa(document: dict[str, Any]) -> None:
    for field in ("checkpoint", "proof"):
        document[field] = document[field].rstrip("\n").rsplit("\n", 1)[0] + "\n"


def other_evidence(document: dict[str, Any]) -> None:
    other = evidence(index=6)
    document["proof"], document["log_index"] = other["proof"], other["log_index"]


def rebuilt_by_a_forger(document: dict[str, Any]) -> None:
    document.update(evidence(keys=signer("forger.example/log")))


TAMPERING: dict[str, Callable[[dict[str, Any]], None]] = {
    "a value of the record": in_record("event", "ContentAccessTracking"),
    "a field added to the record": in_record("note", "x"),
    "the kind of a value": in_record("version", "1"),
    "true for one": in_record("version", True),
    "a fraction": in_record("version", 1.0),
    "a huge number": in_record("version", 2**53),
    "a field taken away": lambda document: document["record"].pop("reasons"),
    "the order of a list": lambda document: document["record"]["reasons"].reverse(),
    "the event key": in_record("event_key", "delivery-1:main:ContentConsignment:1"),
    "no event key": lambda document: document["record"].pop("event_key"),
    "no record": lambda document: document.pop("record"),
    "another salt": set_("salt", "00" * 32),
    "a short salt": set_("salt", "00"),
    "no salt": set_("salt", None),
    "another leaf hash": set_("leaf_hash", "00" * 32),
    "another index": set_("log_index", 6),
    "an index as text": set_("log_index", "5"),
    "a true index": set_("log_index", True),
    "the index in the proof": in_text("proof", "index 5", "index 6"),
    "both indexes": both(in_text("proof", "index 5", "index 6"), set_("log_index", 6)),
    "the proof's version": in_text("proof", "@v1", "@v2"),
    "a hash of the proof": in_text("proof", "=\n", "=\n" + "A" * 43 + "=\n"),
    "no proof": set_("proof", None),
    "an empty proof": set_("proof", ""),
    "another record's proof": other_evidence,
    "the tree's size": in_text("checkpoint", "\n300\n", "\n301\n"),
    "the size in both": both(*(in_text(name, "\n300\n", "\n301\n") for name in ("checkpoint", "proof"))),
    "the origin": in_text("checkpoint", "zending.example/log\n", "zending.example/lag\n"),
    "no checkpoint": set_("checkpoint", None),
    "a signature taken away": drop_ml_dsa,
    "everything, with other keys": rebuilt_by_a_forger,
    "a token that is none": set_("timestamp_token", "AAAA"),
    "a token that is not base 64": set_("timestamp_token", "%"),
    "a token of another kind": set_("timestamp_token", 7),
}  # fmt: skip


@pytest.mark.parametrize("change", TAMPERING.values(), ids=TAMPERING.keys())
def test_every_change_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    document = evidence()
    change(document)
    assert False in results(document).values()


def test_a_token_over_another_checkpoint_is_found(authority: TestAuthority) -> None:
    token = authority.token(sha256(b"another").digest())
    document = {**evidence(), "timestamp_token": base64.b64encode(token).decode()}
    assert results(document)["time-stamp"] is False


def test_a_changed_token_is_found(authority: TestAuthority) -> None:
    token = authority.token(HEAD.digest)
    at = token.index(b"20261102")
    for bad in (token.replace(b"20261102", b"20261103", 1), token[:-1] + bytes([token[-1] ^ 1]), token[:at]):
        document = {**evidence(), "timestamp_token": base64.b64encode(bad).decode()}
        assert results(document)["time-stamp"] is False


def test_the_token_must_name_its_certificate(authority: TestAuthority) -> None:
    assert results(stamped(authority, named=bytes(32)))["time-stamp"] is False


def test_the_certificate_must_be_for_time_stamps() -> None:
    assert results(stamped(TestAuthority(usage=ExtendedKeyUsageOID.CODE_SIGNING)))["time-stamp"] is False


def test_the_certificate_must_be_valid_at_the_tokens_time(authority: TestAuthority) -> None:
    assert results(stamped(authority, at=NOW + timedelta(days=400)))["time-stamp"] is False


def test_an_authority_that_nobody_trusts_is_refused(authority: TestAuthority) -> None:
    stranger = TestAuthority(kind="rsa")
    namesake = TestAuthority()
    for issuer in (stranger.ca, namesake.ca):
        assert results(stamped(authority), tsa_issuers=[issuer])["time-stamp"] is False


def test_every_key_that_is_given_must_have_signed() -> None:
    witness = notes.SigningKey(
        "witness.example/w1", notes.KeyType.COSIGNATURE_ED25519, Ed25519PrivateKey.from_private_bytes(b"w" * 32)
    )
    keys = (*KEYS, str(witness.verifier))
    assert results(evidence(), keys)["checkpoint"] is False
    line = witness.sign(HEAD.text, at=NOW)
    document = evidence()
    document.update(proof=f"{document['proof']}{line}", checkpoint=f"{document['checkpoint']}{line}")
    assert results(document, keys)["checkpoint"] is True
    assert results(document, (str(witness.verifier),))["inclusion"] is False


@pytest.mark.parametrize("key", ["", "no key", KEYS[0].replace("+", "+0", 1), KEYS[0][:-4], "a+00000000+AA=="])
def test_a_malformed_key_is_a_failed_check(key: str) -> None:
    assert results(evidence(), (key,))["checkpoint"] is False


def test_a_key_of_an_unknown_type_is_a_failed_check() -> None:
    raw = b"\x05" + bytes(32)
    key_id = sha256(b"zending.example/log\n" + raw).hexdigest()[:8]
    assert (
        results(evidence(), (f"zending.example/log+{key_id}+{base64.b64encode(raw).decode()}",))["checkpoint"] is False
    )


def test_a_tree_of_one_leaf_needs_no_hashes() -> None:
    assert results(evidence(index=0, size=1))["inclusion"] is True


def test_it_needs_the_standard_library_and_cryptography_only() -> None:
    tree = ast.parse(Path(verify.__file__).read_text())
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"cryptography"}


def test_its_exit_status_says_whether_the_evidence_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evidence.json"
    for document, status in ((evidence(), 0), ({**evidence(), "log_index": 6}, 1)):
        path.write_text(json.dumps(document))
        monkeypatch.setattr(sys, "argv", ["verify.py", str(path), "--key", KEYS[0]])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(verify.__file__), run_name="__main__")
        assert ended.value.code == status
    assert "not checked time-stamp" in capsys.readouterr().out


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The verifier copied out of the tree."""
    return Path(shutil.copy(verify.__file__, tmp_path / "verify.py"))


def run(alone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -I: neither this tree nor the environment helps it.
    return subprocess.run(
        [sys.executable, "-I", str(alone), *arguments], cwd=alone.parent, capture_output=True, text=True, check=False
    )


def test_it_runs_copied_out_of_the_tree(alone: Path, authority: TestAuthority) -> None:
    assert len(alone.read_text().splitlines()) < 250
    (alone.parent / "evidence.json").write_text(json.dumps(stamped(authority)))
    (alone.parent / "ca.pem").write_bytes(authority.ca.public_bytes(Encoding.PEM))
    keys = [part for key in KEYS for part in ("--key", key)]
    done = run(alone, "evidence.json", *keys, "--tsa-ca", "ca.pem")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:12].strip() for line in done.stdout.splitlines()] == ["ok"] * 5


def test_it_says_what_failed(alone: Path) -> None:
    document = evidence()
    document["salt"] = "00" * 32
    (alone.parent / "evidence.json").write_text(json.dumps(document))
    done = run(alone, "evidence.json", "--key", KEYS[0])
    assert done.returncode == 1
    assert "FAILED      record: record or salt was changed" in done.stdout


@pytest.mark.parametrize("text", ["", "[1]", "7", '{"record": 1, "record": 2}', "\ud800"])
def test_files_that_are_no_evidence_fail_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert verify.main([str(path), "--key", KEYS[0]]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_a_missing_file_fails_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tmp_path / "none.json"), "--key", KEYS[0]]) == 1
    assert "FAILED" in capsys.readouterr().out
