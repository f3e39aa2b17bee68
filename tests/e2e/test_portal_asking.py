"""A clerk asks for signatures, the signer signs, the clerk sees it done and sends the result, in Debian's Chromium."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service.embedded.fictional import RECIPIENTS
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.card_support import issue
from tests.portal_walk_support import PATIENCE, Walk, Walker
from tests.service_support import DOCUMENTS, RunningService, checked_by_qpdf
from tests.signatures_support import ask_over_http, person
from tests.web_eid_support import Extension, pki_of

pytestmark = pytest.mark.browser

PDF = DOCUMENTS / "notice-nl-ghostscript.pdf"


def fill(clerk: Walker, place: int, key: str) -> None:
    """Fill in one signer."""
    known = RECIPIENTS[key]
    clerk.page.fill(f"#signer-{place}-name", known.name)
    clerk.page.fill(f"#signer-{place}-number", str(known.number))


def ask_by_the_form(clerk: Walker, reference: str) -> str:
    """Ask An for a signature, and the organisation for its seal; the request's id."""
    clerk.go("/signature-requests/new", "tine")
    clerk.sees("Ask for signatures")
    clerk.look("new-request")
    clerk.press("Continue")
    expect(clerk.page.locator("#summary")).to_be_focused(timeout=PATIENCE)
    clerk.look("new-request-problems")
    clerk.page.fill("#subject", "Overeenkomst kinderopvang")
    clerk.page.fill("#reference", reference)
    fill(clerk, 1, "an")
    clerk.page.fill("#signer-1-email", "an@voorbeeld.test")
    clerk.press("Add a signer")
    expect(clerk.page.locator("#signer-2-way")).to_be_focused()
    clerk.page.select_option("#signer-2-way", "seal")
    expect(clerk.page.locator("#signer-2-name")).to_be_hidden()
    clerk.look("new-request-two")
    # The key Enter goes on; it doesn't take a signer away.
    clerk.page.press("#subject", "Enter")
    clerk.sees("Check and ask")
    clerk.look("check-request")
    clerk.press("Change this")
    expect(clerk.page.locator("#signer-1-name")).to_have_value("An Peeters")
    expect(clerk.page.locator("#signer-2-way")).to_have_value("seal")
    clerk.press("Continue")
    clerk.press("Ask for the signatures")
    expect(clerk.page.locator("#document-problem")).to_contain_text("Choose the PDF that is to be signed.")
    clerk.look("check-request-problem")
    clerk.page.set_input_files("#document", PDF)
    clerk.page.locator("button.send").dblclick()
    clerk.sees("The signatures are asked for")
    clerk.look("request-asked")
    return next(part for part in clerk.page.url.split("/") if part.startswith("sgr_"))


def keep_the_result(service: RunningService, clerk: Walker) -> None:
    """Download the result, the report and a proof, and hold them against who checks them."""
    result = clerk.download("Download the signed PDF")
    checked_by_qpdf(result)
    roots = load_certificates(service.trust_anchor)
    with ThreadPoolExecutor(1) as apart:
        # The browser's driver has an event loop in this thread.
        judged = apart.submit(validate, result, trust_roots=roots, at=datetime.now(UTC)).result()
    assert [each.verdict for each in judged.signatures] == [Verdict.VALID] * 3
    assert clerk.download("Download the report").startswith(b"%PDF")
    proof = json.loads(clerk.download("Download proof of: Signed"))
    assert proof["record"]["event"] == "Signed"
    assert all(check.ok is not False for check in service.verify(proof))


def send_the_result(clerk: Walker) -> None:
    """Send the result to An as a letter, after a form that lacks everything."""
    clerk.press("Send the result as a letter")
    clerk.sees("Send the result")
    expect(clerk.page.locator("#subject")).to_have_value("Overeenkomst kinderopvang")
    clerk.look("send-result")
    clerk.press("Send the letter")
    expect(clerk.page.locator("#summary")).to_be_focused(timeout=PATIENCE)
    expect(clerk.page.locator("h1")).to_have_text("Send the result")
    sent_to = {
        "number": RECIPIENTS["an"].number, "name": "An Peeters", "street": "Kerkstraat", "house_number": "12",
        "postcode": "9000", "municipality": "Gent",
    }  # fmt: skip
    for name, value in sent_to.items():
        clerk.page.fill(f"#{name}", str(value))
    clerk.press("Send the letter")
    clerk.sees("The letter is on its way")


def test_a_clerk_asks_the_signer_signs_and_the_result_is_kept_and_sent(service: RunningService, walk: Walk) -> None:
    clerk, reference = walk(), f"asked-{uuid.uuid4().hex[:10]}"
    request = ask_by_the_form(clerk, reference)
    expect(clerk.page.locator(".fingerprint")).to_have_text(f"{service.base_url}/signatures/{request}")
    clerk.press("Follow this request")
    expect(clerk.page.locator(".state")).to_contain_text("Now: An Peeters. Then: ")
    clerk.look("request-open")
    clerk.press("Remind now")
    expect(clerk.page.locator(".notice")).to_contain_text("gets another e-mail")
    clerk.look("request-reminded")

    an = walk()
    Extension(an, issue(pki_of(service)))
    an.go(f"/signatures/{request}", "an")
    an.press("Sign with my identity card")
    expect(an.page.locator(".state .tag")).to_have_text("Signed", timeout=PATIENCE)

    # Nobody reloads: the clerk's page itself looks again.
    expect(clerk.page.locator(".state .tag")).to_have_text("Completed", timeout=PATIENCE)
    expect(clerk.page.get_by_text("Being recorded")).to_have_count(0, timeout=PATIENCE)
    expect(clerk.page.locator(".timeline")).to_contain_text("Identified by the national register number")
    clerk.look("request-completed")
    keep_the_result(service, clerk)
    send_the_result(clerk)
    clerk.go(f"/signature-requests/{request}")
    clerk.press("Letters with this reference")
    expect(clerk.page.locator(".rows li")).to_have_count(1)

    # A double click asked once.
    clerk.go("/signature-requests")
    clerk.page.fill("#reference", reference)
    clerk.page.select_option("#state", "completed")
    clerk.press("Search")
    expect(clerk.page.locator(".rows li")).to_have_count(1)
    clerk.go("/signature-requests")
    clerk.look("requests")


def test_every_page_works_without_scripts(walk: Walk) -> None:
    clerk = walk(scripts=False)
    clerk.go("/signature-requests", "bram")
    clerk.press("Ask for")
    clerk.page.fill("#subject", "Huurovereenkomst")
    clerk.page.fill("#reference", f"asked-{uuid.uuid4().hex[:10]}")
    fill(clerk, 1, "jan")
    clerk.press("Add a signer")
    fill(clerk, 2, "an")
    clerk.press("Move up")
    expect(clerk.page.locator("#signer-1-name")).to_have_value("An Peeters")
    clerk.press("Add a signer")
    clerk.press("Remove Signer 3")
    clerk.press("Continue")
    clerk.sees("Check and ask")
    clerk.page.set_input_files("#document", [PDF, DOCUMENTS / "attachment-fr.pdf"])
    clerk.press("Ask for the signatures")
    clerk.sees("The signatures are asked for")
    clerk.press("Follow this request")
    expect(clerk.page.locator(".state")).to_contain_text("Now: An Peeters. Then: Jan Claes.")
    clerk.look("request-without-scripts")
    assert clerk.download("Download as it is now attachment-fr.pdf").startswith(b"%PDF")
    clerk.press("Cancel this request")
    clerk.sees("Cancel this request?")
    clerk.look("request-cancel")
    clerk.press("Yes, cancel it")
    expect(clerk.page.locator(".state .tag")).to_have_text("Cancelled")
    clerk.look("request-cancelled")


def test_a_refusal_is_read_with_its_reason(service: RunningService, walk: Walk) -> None:
    request = ask_over_http(service, person("an"), person("jan"), subject="Overeenkomst")
    an, clerk = walk(), walk(language="nl")
    an.go(f"/signatures/{request}/refuse", "an")
    an.page.fill("#reason", "Het bedrag <b>klopt</b> niet.")
    an.press("I don't sign")
    clerk.go(f"/signature-requests/{request}", "tine")
    expect(clerk.page.locator(".state blockquote")).to_have_text("Het bedrag <b>klopt</b> niet.")
    clerk.look("request-refused-nl")


def test_a_refused_pdf_is_said_in_words_and_a_request_of_others_is_nowhere(
    service: RunningService, walk: Walk, tmp_path: Path
) -> None:
    clerk = walk(language="de")
    clerk.go("/signature-requests/new", "bram")
    clerk.look("new-request-de")
    clerk.page.fill("#subject", "Vereinbarung")
    clerk.page.fill("#reference", "2026-1")
    fill(clerk, 1, "an")
    clerk.page.get_by_role("button", name="Weiter", exact=True).click()
    bad = tmp_path / "keines.pdf"
    bad.write_bytes(b"MZ this is no PDF")
    clerk.page.set_input_files("#document", bad)
    clerk.look("check-request-de")
    clerk.page.locator("button.send").click()
    expect(clerk.page.locator("#document-problem")).to_contain_text("kein PDF", timeout=PATIENCE)
    request = ask_over_http(service)
    for path in ("", "/documents/1", "/report", "/cancel", "/send", "/progress", "/asked"):
        answer = clerk.go(f"/signature-requests/{request}{path}")
        assert answer is not None
        assert answer.status == 404, path
