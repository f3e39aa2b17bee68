"""A notice that bounces, through the running service: by SMTP, back by mail, to evidence."""

import re
from datetime import UTC, datetime
from typing import Any

from service.cli.demo_calls import Calls
from service.cli.demo_mailbox import PLACE, newest_message
from tests.service_support import RunningService, until

FAILURE = "ConsignmentNotificationFailure"


def use_address(service: RunningService, calls: Calls, address: str) -> dict[str, Any]:
    """Confirm an e-mail address as its owner does."""
    since = datetime.now(UTC)
    consent = calls.ask("PUT", PLACE, json={"email": address, "language": "nl"}).json()["consent"]
    text = until(lambda: newest_message(service.mail_folder, address, since), f"mail for {address}")
    code = re.search(r"(?<!\d)\d{6}(?!\d)", text)
    assert code is not None
    answer = calls.ask("PUT", PLACE, json={"code": code[0], "consent_version": consent["version"]}).json()
    assert isinstance(answer, dict)
    return answer


def test_a_notice_that_comes_back_by_mail_ends_as_evidence_and_is_told_to_both(service: RunningService) -> None:
    lena = service.person("lena")
    before = lena.ask("GET", PLACE).json()
    assert before["active"]
    try:
        assert use_address(service, lena, "gone.lena@voorbeeld.test")["unreachable_since"] is None
        delivery = service.hand_in("lena")["id"]
        proof = service.until_evidence(delivery, "ConsignmentNotification", FAILURE)[FAILURE]
        assert proof["record"]["reasons"] == ["bounced"]
        assert [check for check in service.verify(proof) if check.ok is False] == []
        events = service.agency().ask("GET", f"/v1/deliveries/{delivery}/events").json()["items"]
        assert [(each["event"], each["reason"]) for each in events][-1] == (FAILURE, "bounced")
        # Ordinary mail: it lies in the mailbox, where its recipient reads that e-mails do not arrive.
        assert service.until_status(delivery, "available")["channel"] == "digital"
        until(lambda: lena.ask("GET", PLACE).json()["unreachable_since"], "the mailbox to say so")
    finally:
        after = use_address(service, lena, before["email"])
    assert after["unreachable_since"] is None
    assert after["email"] == before["email"]
