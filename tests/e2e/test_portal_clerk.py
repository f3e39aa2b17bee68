"""A clerk sends a letter and follows it, in Debian's Chromium: with our script, and without any."""

import json
import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.portal_walk_support import PATIENCE, Walk, Walker
from tests.service_support import DOCUMENTS, RunningService, checked_by_qpdf, signatures

pytestmark = pytest.mark.browser


def fill(clerk: Walker, number: str, **changes: str) -> str:
    """Fill in the form of a new letter; returns the reference."""
    reference = f"portal-{uuid.uuid4().hex[:10]}"
    texts = {
        "number": number,
        "name": "An Peeters",
        "street": "Kerkstraat",
        "house_number": "12",
        "postcode": "9000",
        "municipality": "Gent",
        "subject": "Uw aanslagbiljet",
        "reference": reference,
    }
    for name, value in (texts | changes).items():
        clerk.page.fill(f"#{name}", value)
    return reference


def test_a_clerk_sends_a_letter_and_follows_it_to_its_proof(service: RunningService, walk: Walk) -> None:
    clerk = walk()
    clerk.go("/letters/new", "tine")
    clerk.sees("New letter")
    clerk.look("new-letter")

    clerk.press("Send the letter")
    expect(clerk.page.locator("#summary")).to_be_focused(timeout=PATIENCE)
    clerk.look("new-letter-problems")

    clerk.page.fill("#number", "12345678901")
    clerk.page.locator("#number").blur()
    expect(clerk.page.locator("#number-problem")).to_contain_text("Check the 11 digits", timeout=PATIENCE)
    clerk.page.fill("#number", "85.07.30-033.28")
    clerk.page.locator("#number").blur()
    expect(clerk.page.locator("#number-problem")).to_contain_text("can exist", timeout=PATIENCE)

    clerk.page.set_input_files("#document", DOCUMENTS / "letter-fr-chromium.pdf")
    clerk.page.set_input_files("#attachments", [DOCUMENTS / "attachment-fr.pdf"])
    reference = fill(clerk, "85.07.30-033.28", postcode="B-9000")
    clerk.press("Send the letter")
    expect(clerk.page.locator("#summary li")).to_have_text(
        ["A Belgian postcode has four digits, without B- in front."], timeout=PATIENCE
    )
    assert clerk.page.evaluate("document.getElementById('document').files.length") == 1
    clerk.page.fill("#postcode", "9000")
    clerk.press("Send the letter")
    clerk.sees("The letter is on its way")
    clerk.look("sent")

    clerk.press("Follow this letter")
    # Nobody reloads: the page itself looks again.
    expect(clerk.page.locator(".state .tag")).to_have_text("In the mailbox", timeout=PATIENCE)
    expect(clerk.page.get_by_text("Being recorded")).to_have_count(0, timeout=PATIENCE)
    clerk.look("letter")
    sealed = clerk.download("Download sealed PDF letter-fr-chromium.pdf")
    assert "Signature is Valid" in signatures(sealed)
    checked_by_qpdf(sealed)
    proof = json.loads(clerk.download("Download proof of: Put into the mailbox"))
    assert proof["record"]["event"] == "ContentConsignment"
    assert all(check.ok is not False for check in service.verify(proof))

    clerk.go("/letters")
    clerk.page.fill("#reference", reference)
    clerk.press("Search")
    expect(clerk.page.locator(".rows li")).to_have_count(1)
    clerk.look("letters")
    clerk.go("/letters?reference=there-is-none")
    clerk.look("letters-none")


def test_every_page_works_without_scripts(service: RunningService, walk: Walk) -> None:
    clerk = walk(scripts=False)
    clerk.go("/letters", "bram")
    clerk.press("New letter")
    clerk.press("Send the letter")
    clerk.sees("New letter")
    expect(clerk.page.locator("#summary")).to_contain_text("Choose the PDF of the letter.")
    fill(clerk, "17073003384", name="Jan Claes", subject="Een brief op papier")
    clerk.page.set_input_files("#document", DOCUMENTS / "permit-nl-libreoffice.pdf")
    clerk.press("Send the letter")
    clerk.sees("The letter is on its way")
    clerk.press("Follow this letter")
    delivery = clerk.page.url.rsplit("/", 1)[1]
    service.until_status(delivery, "handed_over", sender="voorbeeldegem")
    service.until_evidence(delivery, "RelayToNonERDS", sender="voorbeeldegem")
    clerk.page.reload()
    expect(clerk.page.locator(".state .tag")).to_have_text("At the print house")
    assert clerk.download("Download sealed PDF").startswith(b"%PDF")
    assert json.loads(clerk.download("Download proof of: Handed over"))["record"]["event"] == "RelayToNonERDS"
    clerk.look("letter-without-scripts")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_double_click_makes_one_letter(service: RunningService, walk: Walk, *, scripts: bool) -> None:
    clerk = walk(scripts=scripts)
    clerk.go("/letters/new", "tine")
    clerk.page.set_input_files("#document", DOCUMENTS / "notice-nl-ghostscript.pdf")
    reference = fill(clerk, "17073003384", name="Jan Claes")
    clerk.page.locator("button.send").dblclick()
    clerk.sees("The letter is on its way")
    clerk.go(f"/letters?reference={reference}")
    expect(clerk.page.locator(".rows li")).to_have_count(1)


def test_a_refused_pdf_is_said_in_words(walk: Walk, tmp_path: Path) -> None:
    clerk = walk(language="nl")
    clerk.go("/letters/new", "tine")
    bad = tmp_path / "geen.pdf"
    bad.write_bytes(b"MZ this is no PDF")
    clerk.page.set_input_files("#document", bad)
    fill(clerk, "17073003384", name="Jan Claes")
    clerk.press("De brief versturen")
    expect(clerk.page.locator("#document-problem")).to_contain_text(
        "Dit bestand is geen PDF-document.", timeout=PATIENCE
    )
    clerk.look("new-letter-refused-nl")


def test_files_that_are_far_too_large_are_said_so_and_the_rest_stays(walk: Walk, tmp_path: Path) -> None:
    clerk = walk()
    clerk.go("/letters/new", "tine")
    large = tmp_path / "large.pdf"
    large.write_bytes(b"%PDF-1.7\n" + bytes(40_000_000))
    clerk.page.set_input_files("#document", large)
    fill(clerk, "17073003384", name="Jan Claes")
    clerk.press("Send the letter")
    problem = clerk.page.locator("#document-problem")
    expect(problem).to_contain_text("The files are too large together.", timeout=PATIENCE)
    expect(clerk.page.locator("#name")).to_have_value("Jan Claes")
    expect(clerk.page.locator("button.send")).to_be_enabled()


def test_a_letter_of_another_organisation_is_nowhere_to_be_found(service: RunningService, walk: Walk) -> None:
    handed = service.hand_in("jan", sender="voorbeeldegem")
    clerk = walk()
    answer = clerk.go(f"/letters/{handed['id']}", "tine")
    clerk.sees("We can't find this page")
    answer = clerk.page.goto(f"/letters/{handed['id']}")
    assert answer is not None
    assert answer.status == 404
    clerk.look("not-found")


def test_a_clerk_has_no_mailbox_and_is_told_so(walk: Walk) -> None:
    clerk = walk()
    clerk.go("/mailbox", "tine")
    clerk.sees("This page is not for you")
    clerk.look("not-for-you")
    clerk.press("Go to my overview")
    clerk.sees("Letters of")
    assert re.search(r"/letters$", clerk.page.url)
