"""What comes back from a print house, by command and page: operators take it in, clerks see it and decide."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from printing.exchange import PostalEvent
from tests.embedded_support import CHECKOUT
from tests.portal_walk_support import Walk
from tests.post_support import events_file, said, scans_file
from tests.service_support import RunningService

pytestmark = pytest.mark.browser

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000100"
    "05fe02fea7c80a0f0000000049454e44ae426082"
)


def command(service: RunningService, *arguments: str, expect: int = 0) -> str:
    """What ``zending print`` says."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "print", *arguments],
        cwd=CHECKOUT,
        env=service.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def printed(service: RunningService) -> str:
    """A letter that the print house has."""
    delivery: str = service.hand_in("jan")["id"]
    service.until_status(delivery, "to_print", "batched", "handed_over")
    command(service, "close")
    service.until_status(delivery, "handed_over")
    return delivery


def number_of(service: RunningService) -> int:
    found: list[dict[str, Any]] = json.loads(command(service, "list", "--json"))
    return int(found[0]["number"])


def test_a_letter_is_posted_comes_back_and_goes_out_again(walk: Walk, service: RunningService, tmp_path: Path) -> None:
    delivery = printed(service)
    now = datetime.now(UTC)
    letter = f"{delivery}-1"
    told = [
        said(delivery, PostalEvent.POSTED, now, registered_number="RR123456785BE", postage_cents=140),
        said(delivery, PostalEvent.ATTEMPTED, now),
        said("dlv_" + "0" * 32, PostalEvent.DELIVERED, now),
    ]
    (tmp_path / "events.json").write_bytes(events_file(told, now))
    proof = {
        "file": "proof.png",
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "what": "posting_proof",
        "at": now.isoformat(),
        "id": letter,
    }
    index = {"kind": "scans", "schema": 1, "at": now.isoformat(), "scans": [proof]}
    (tmp_path / "scans.zip").write_bytes(scans_file(index, {"proof.png": PNG}))
    shown = command(service, "ack", str(tmp_path / "events.json"), str(tmp_path / "scans.zip"))
    assert "taken events 1 odd, 2 taken" in shown
    service.until_status(delivery, "posted")
    assert "LETTER_UNKNOWN" in command(service, "exceptions")
    assert "refused" in command(service, "ack", str(CHECKOUT / "LICENSE"), expect=1)
    assert str(number_of(service)) in command(service, "list")
    assert "posted" in command(service, "show", str(number_of(service)))
    assert "statements about what we never sent" in command(service, "reconcile", expect=1)

    olga = walk()
    olga.go("/operator/print", "olga")
    olga.sees("Print")
    olga.look("operator-print")
    olga.page.fill("#letters", f"{letter};M04\nnobody's;M01")
    olga.press("Take them in")
    olga.page.get_by_text("came back; its sender sees it").wait_for()
    olga.page.get_by_text("is no letter that was sent from here").wait_for()
    olga.look("operator-print-returned")
    olga.go(f"/operator/print/{number_of(service)}")
    olga.look("operator-print-batch")
    service.until_status(delivery, "returned")
    assert letter in command(service, "returns", letter, "--cause", "M04")

    clerk = walk()
    clerk.go(f"/letters/{delivery}", "tine")
    clerk.page.get_by_text("The recipient has moved.").first.wait_for()
    clerk.look("clerk-returned")
    with clerk.page.expect_download() as saved:
        clerk.page.get_by_role("link", name="Download Proof of posting").click()
    assert Path(saved.value.path()).read_bytes() == PNG
    clerk.page.get_by_role("link", name="Decide on it").click()
    clerk.sees("The letter came back")
    clerk.press("Send it again")
    clerk.look("clerk-returned-wrong")
    for name, value in (
        ("name", "Jan Claes"),
        ("street", "Nieuwstraat"),
        ("house_number", "7"),
        ("postcode", "9000"),
        ("municipality", "Gent"),
    ):
        clerk.page.fill(f"#{name}", value)
    clerk.look("clerk-returned-filled")
    clerk.press("Send it again")
    service.until_status(delivery, "to_print", "batched", "handed_over")
