"""A sample of what is sealed is judged as whoever gets it would."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.seals import making
from service.seals.profile import SealProfile
from signing.errors import SealCheckFailed
from signing.report import Kind, Report, SignatureReport, Verdict
from signing.seal import Sealer
from tests.signing_support import InProcessAuthority, plain_pdf, revocation, roots, seal_key

PROFILE = SealProfile.model_validate({"key": {"provider": "pem", "key": "k", "certificate": "c"}})


def sealer(*, believed: bool = True) -> Sealer:
    away = revocation("http://127.0.0.1:9/")
    make = making.maker(InProcessAuthority(), away, Path(), roots=roots() if believed else ())
    return make(seal_key(), PROFILE)


def test_a_good_seal_is_good_and_nothing_is_said() -> None:
    with capture_logs() as logs:
        assert sealer().seal(plain_pdf(), at=datetime.now(UTC))
    assert logs == []


def test_a_seal_whose_root_is_not_believed_here_is_told_and_let_go() -> None:
    with capture_logs() as logs:
        assert sealer(believed=False).seal(plain_pdf(), at=datetime.now(UTC))
    assert [each["event"] for each in logs] == ["seal_not_trusted_here"]


@pytest.mark.parametrize(
    "found",
    [
        SignatureReport("Seal1", Kind.SIGNATURE, Verdict.INVALID, "not_intact", intact=False),
        SignatureReport("Seal1", Kind.SIGNATURE, Verdict.MODIFIED, "changed_afterwards", intact=True, trusted=True),
        SignatureReport("Seal1", Kind.SIGNATURE, Verdict.INDETERMINATE, "signature_unreadable"),
        SignatureReport(
            "Seal1", Kind.SIGNATURE, Verdict.INDETERMINATE, "certificate_revoked", intact=True, trusted=True
        ),
        None,
    ],
)
def test_anything_else_never_leaves(found: SignatureReport | None, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report("", Verdict.INDETERMINATE, "x", strict=True, signatures=(found,) if found else ())
    monkeypatch.setattr(making, "validate", lambda *_, **__: report)
    with pytest.raises(SealCheckFailed) as caught:
        sealer().seal(plain_pdf(), at=datetime.now(UTC))
    assert caught.value.retryable


def test_one_of_many_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bytes] = []
    good = Report(
        "", Verdict.VALID, None, strict=True, signatures=(SignatureReport("S", Kind.SIGNATURE, Verdict.VALID),)
    )

    def judge(pdf: bytes, **_: object) -> Report:
        judged.append(pdf)
        return good

    monkeypatch.setattr(making, "validate", judge)
    monkeypatch.setattr(making, "SAMPLE", 5)
    kept = sealer()
    for _ in range(11):
        kept.seal(plain_pdf(), at=datetime.now(UTC))
    assert len(judged) == 3
