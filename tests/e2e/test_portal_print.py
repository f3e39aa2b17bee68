"""What comes back from a print house, by command and page: operators take it in, clerks see it and decide."""

import hashlib
import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from printing.exchange import MOST_BYTES, PostalEvent
from tests import api_e2e_support as callers
from tests.embedded_support import CHECKOUT
from tests.portal_walk_support import Walk, Walker
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
    olga.press("Came back")
    olga.sees("Letters that came back")
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


def confirm(walker: Walker, question: str, answer: str, reason: str | None = None) -> None:
    """Answer the page that asks before an act."""
    walker.sees(question)
    if reason is not None:
        walker.page.fill("#reason", reason)
    walker.press(answer)


def choose(walker: Walker, act: str, *letters: str) -> None:
    """Name letters and what to do with them."""
    walker.go("/operator/print/letters")
    walker.page.fill("#letters", "\n".join(letters))
    walker.page.get_by_label(act, exact=True).check()
    walker.press("Go on")


def test_an_operator_holds_back_and_lets_go_on(walk: Walk, service: RunningService) -> None:
    olga = walk(scripts=False)
    olga.go("/operator/print/waiting", "olga")
    olga.press("Hold back")
    confirm(olga, "Hold this product back?", "Yes, hold it back")
    olga.page.get_by_text("Say why, in at most 200 characters.").wait_for()
    confirm(olga, "Hold this product back?", "Yes, hold it back", "The paper jams")
    olga.page.get_by_text("The product is held back.").first.wait_for()
    held, other = service.hand_in("jan")["id"], service.hand_in("jan")["id"]
    for each in (held, other):
        service.until_status(each, "to_print")
    try:
        choose(olga, "Hold back", f"{held}-1")
        confirm(olga, "Hold these letters back?", "Yes, hold them back", "Its sender asked")
        olga.page.get_by_text("Letters held back: 1.").wait_for()

        otto = walk()
        otto.go("/operator/print", "otto")
        otto.page.get_by_text("Letters wait for too long").wait_for()
        otto.look("operator-print-stuck")
        otto.press("Look at what waits")
        otto.page.get_by_text("Its sender asked").wait_for()
        otto.look("operator-print-waiting")
        choose(otto, "Print again", f"{held}-1", "dlv_" + "0" * 32 + "-1")
        otto.page.get_by_text("(dlv_000").wait_for()
        otto.look("operator-print-letters")
        otto.go("/operator/print/proofs")
        otto.page.fill("#delivery", held)
        otto.press("Go on")
        otto.sees("Order a proof print?")
        otto.look("operator-print-proof")
        otto.press("Yes, order it")
        otto.page.get_by_role("heading", name=held).wait_for()
        otto.look("operator-print-proofs")
        otto.go("/operator/print/waiting")
        otto.page.get_by_role("link", name="Let go on").last.click()
        otto.press("Go on")
        confirm(otto, "Let these letters go on?", "Yes, let them go on")
        otto.page.get_by_text("Letters that go on: 1.").wait_for()
        otto.go("/operator/print/waiting")
    finally:
        command(service, "release", "--product", "directory:letter")
    for each in (held, other):
        service.until_status(each, "handed_over")


def test_an_operator_prints_again_gives_up_and_takes_files_in(
    walk: Walk, service: RunningService, tmp_path: Path
) -> None:
    olga, otto = walk(scripts=False), walk()
    olga.go("/operator/print", "olga")
    otto.go("/operator/print", "otto")
    held, other = printed(service), printed(service)
    choose(otto, "Print again", f"{held}-1")
    otto.page.select_option("#reason", "misprinted")
    otto.look("operator-print-reprint")
    otto.press("Yes, print them again")
    otto.page.get_by_text("Letters that are printed again: 1.").wait_for()
    otto.page.get_by_text("printed again: misprinted").wait_for()
    otto.look("operator-print-reprinted")
    choose(olga, "Give up", f"{other}-1")
    confirm(olga, "Give these letters up?", "Yes, give them up")
    olga.page.get_by_text("Letters given up: 1.").wait_for()
    service.until_status(other, "undeliverable")

    otto.go("/operator/print/close")
    otto.look("operator-print-close")
    confirm(otto, "Close what waits now?", "Yes, close now")
    otto.page.get_by_text("Batches closed:").wait_for()
    now = datetime.now(UTC)
    (tmp_path / "events.json").write_bytes(events_file([said(held, PostalEvent.POSTED, now)], now))
    otto.go("/operator/print/files")
    otto.page.set_input_files("#file", tmp_path / "events.json")
    otto.press("Take them in")
    otto.page.get_by_text("events.json: taken, 1 taken").wait_for()
    otto.look("operator-print-files")
    otto.go("/operator/print/days")
    otto.look("operator-print-days")


def test_calls_do_what_the_commands_do(service: RunningService) -> None:
    olga = callers.person(service, "olga")

    def call(method: str, path: str, expect: int = 200, *, key: str | None = None, **body: Any) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = olga(method, f"/v1/print/{path}", headers=headers, **({"json": body} if body else {}))
        assert answer.status_code == expect, answer.text
        return answer.json()

    call("POST", "hold", printer="directory", product="letter", reason="The paper jams")
    delivery = service.hand_in("jan")["id"]
    letter = f"{delivery}-1"
    service.until_status(delivery, "to_print")
    assert [(each["why"], each["letters"]) for each in call("GET", "waiting")["items"]] == [("held", 1)]
    assert call("POST", "hold", letters=[letter], reason="Its sender asked") == {"changed": 1}
    holds = call("GET", "holds")
    assert [each["held"]["reason"] for each in holds["products"]] == ["The paper jams"]
    assert [each["letter"] for each in holds["letters"]] == [letter]
    assert [each["held"] for each in call("GET", "forecast")["items"]] == [1, 0]
    assert call("POST", "proofs", 400, delivery=delivery)["code"] == "idempotency_key_missing"
    key = uuid.uuid4().hex
    first = call("POST", "proofs", 201, key=key, delivery=delivery)
    assert call("POST", "proofs", 201, key=key, delivery=delivery) == first
    assert [each["file"] for each in call("GET", "proofs")["items"] if each["delivery"] == delivery] == [first["file"]]
    assert call("POST", "move", 422, source="directory", target="directory")["code"] == "printers_same"
    call("POST", "release", letters=[letter])
    call("POST", "release", printer="directory", product="letter")
    service.until_status(delivery, "handed_over")
    shown = call("GET", f"letters/{letter}")
    assert (shown["state"], shown["printer"], shown["held"]) == ("handed_over", "directory", None)
    again = {"letters": [letter], "reason": "misprinted"}
    assert [call("POST", "reprints", key=key, **again) for _ in range(2)] == [{"changed": 1}] * 2
    now = datetime.now(UTC)
    told = events_file([said(delivery, PostalEvent.POSTED, now)], now)
    taken = [olga("POST", "/v1/print/files", params={"name": "e.json"}, content=told).json() for _ in range(2)]
    assert [(each["state"], each["repeated"], each["effects"]) for each in taken] == [
        ("taken", False, {"taken": 1}),
        ("taken", True, {"taken": 1}),
    ]
    big = olga("POST", "/v1/print/files", params={"name": "e.json"}, content=bytes(MOST_BYTES + 1))
    assert big.status_code == 413
    assert call("POST", "given-up", 422, letters=[letter])["code"] == "not_with_the_print_house"
    olga.close()
