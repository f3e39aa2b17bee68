"""A citizen switches the mailbox on, reads a letter and keeps its proof, in Debian's Chromium."""

import hashlib
import io
import json

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.portal_walk_support import Walk, code_sent_to, codes_sent_to
from tests.service_support import RunningService, until

pytestmark = pytest.mark.browser


def test_a_citizen_switches_the_mailbox_on_and_off_again(service: RunningService, walk: Walk) -> None:
    jan = walk()
    jan.go("/home", "jan")
    jan.sees("Your mailbox")
    jan.look("mailbox-off")
    jan.press("Switch my mailbox on")
    jan.sees("Digital or on paper")
    jan.look("activation")
    jan.page.fill("#email", "no address")
    jan.press("Send me a code")
    expect(jan.page.locator("#email-problem")).to_contain_text("This is not an e-mail address.")
    jan.look("activation-problem")

    address = "jan.portal@example.be"
    before = codes_sent_to(address, service.mail_folder)
    jan.page.fill("#email", address)
    jan.press("Send me a code")
    jan.sees("Confirm your e-mail address")
    jan.look("code")
    jan.page.fill("#code", code_sent_to(address, service.mail_folder, after=before))
    jan.press("Switch my mailbox on")
    expect(jan.page.locator("#summary")).to_contain_text("Tick the box if you agree.")
    jan.page.fill("#code", "000000")
    jan.page.check("#consent")
    jan.press("Switch my mailbox on")
    expect(jan.page.locator("#code-problem")).to_contain_text("This code is not right")
    jan.look("code-problem")
    jan.page.fill("#code", code_sent_to(address, service.mail_folder, after=before))
    jan.page.check("#consent")
    jan.press("Switch my mailbox on")
    expect(jan.page.locator(".state .tag")).to_have_text("Your mailbox is on")
    jan.look("activation-on")

    jan.press("Switch my mailbox off")
    jan.sees("Switch your mailbox off?")
    jan.look("stop")
    jan.press("Yes, switch it off")
    jan.sees("Digital or on paper")
    expect(jan.page.get_by_text("Your letters come on paper.")).to_be_visible()


def test_a_citizen_reads_a_letter_and_keeps_it_with_its_proof(service: RunningService, walk: Walk) -> None:
    handed = service.hand_in("an", subject="Een brief voor An")
    service.until_status(handed["id"], "available")
    an = walk(language="nl")
    # Looking at it opens nothing, however often.
    an.go(f"/mailbox/messages/{handed['id']}", "an")
    an.sees("Een brief voor An")
    an.look("message-closed-nl")
    an.go("/mailbox")
    expect(an.page.locator(f'li.unopened a[href$="{handed["id"]}"]')).to_be_visible()
    an.look("mailbox-nl")
    assert an.page.goto(f"/mailbox/messages/{handed['id']}/documents/0").status == 409  # type: ignore[union-attr]
    assert service.agency().delivery(handed["id"])["status"] == "available"

    an.go(f"/mailbox/messages/{handed['id']}")
    an.press("De brief openen")
    expect(an.page.get_by_role("heading", name="Documenten")).to_be_visible()
    opened = service.until_status(handed["id"], "opened")
    service.until_evidence(handed["id"], "ContentAccessTracking")
    an.page.reload()
    an.page.locator("summary").click()
    an.look("message-open-nl")
    proof = json.loads(an.download("Bewijs downloaden van: Geopend"))
    assert all(check.ok is not False for check in service.verify(proof))
    kept = an.download("Downloaden brief.pdf")
    assert hashlib.sha256(kept).hexdigest() == opened["documents"][0]["sha256"]

    address = f"/mailbox/messages/{handed['id']}/documents/0"
    with an.page.expect_response(lambda answer: answer.url.endswith(address)) as shown:
        an.press("Lezen")
    assert shown.value.status == 200
    assert shown.value.headers["content-type"] == "application/pdf"
    # The browser's own viewer can't be asked what it shows, but a document has more colours than an empty frame.
    viewer = an.page.locator("iframe.viewer")
    until(lambda: len(Image.open(io.BytesIO(viewer.screenshot())).convert("L").getcolors() or ()) > 30, "the document")
    an.look("read-nl")
    an.go("/mailbox")
    expect(an.page.locator(f'li.unopened a[href$="{handed["id"]}"]')).to_have_count(0)


def test_a_letter_for_somebody_else_is_nowhere_to_be_found(service: RunningService, walk: Walk) -> None:
    handed = service.hand_in("an")
    service.until_status(handed["id"], "available")
    lena = walk()
    lena.go(f"/mailbox/messages/{handed['id']}", "lena")
    lena.sees("We can't find this page")
    for path in ("", "/documents/0", "/documents/0/download", "/read/0"):
        answer = lena.page.goto(f"/mailbox/messages/{handed['id']}{path}")
        assert answer is not None
        assert answer.status == 404


def test_a_citizen_may_not_send(walk: Walk) -> None:
    lena = walk()
    lena.go("/letters/new", "lena")
    lena.sees("This page is not for you")
