"""Registered mail from a clerk to people who accept and refuse it, in Debian's Chromium."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.test_portal_clerk import fill
from tests.portal_walk_support import PATIENCE, Walk, Walker
from tests.service_support import DOCUMENTS, RunningService, until

pytestmark = pytest.mark.browser

CEM, LENA = "94022722580", "98472899765"


def compose(clerk: Walker, number: str, name: str, kind: str) -> None:
    """Fill in a letter that is to be registered, and wait for what will happen."""
    clerk.page.set_input_files("#document", DOCUMENTS / "permit-nl-libreoffice.pdf")
    fill(clerk, number, name=name, subject="Besluit in vertrouwen")
    clerk.page.select_option("#document_type", kind)
    clerk.page.check("#registered")


def test_registered_mail_is_read_about_sent_accepted_opened_and_proven(service: RunningService, walk: Walk) -> None:
    clerk = walk()
    delivery = sent_by(clerk)
    cem = walk(language="nl")
    offered_to(cem, delivery)
    assert service.agency().delivery(delivery)["status"] == "offered", "a question decides nothing"
    accepted_by(cem)
    service.until_evidence(delivery, "ConsignmentAcceptance", "ContentAccessTracking", "ContentHandover")
    proof = kept_by(cem)
    assert proof["record"]["policy_id"] == "example-consent/1"
    assert all(check.ok is not False for check in service.verify(proof))
    followed_by(clerk, delivery)


def sent_by(clerk: Walker) -> str:
    """The clerk reads what will happen, and sends."""
    clerk.go("/letters/new", "tine")
    compose(clerk, CEM, "Cem Aydin", "formal-notice")
    box = clerk.page.locator(".prospect")
    expect(box).to_contain_text("Example, not law", timeout=PATIENCE)
    expect(clerk.page.locator("#registered_mode")).to_be_checked()
    expect(box).to_contain_text("If the recipient refuses it, a letter by ordinary post goes out.")
    clerk.page.check("#after_refusal")
    expect(box).to_contain_text("If the recipient refuses it, a registered letter goes out.", timeout=PATIENCE)
    expect(clerk.page.locator("#after_refusal")).to_be_focused()
    clerk.look("registered-new-letter")
    clerk.press("Send the letter")
    clerk.sees("The letter is on its way")
    clerk.look("registered-sent")
    clerk.press("Follow this letter")
    delivery = clerk.page.url.rsplit("/", 1)[1]
    expect(clerk.page.locator(".state .tag")).to_have_text("Offered", timeout=PATIENCE)
    clerk.look("registered-letter-offered")
    return delivery


def offered_to(cem: Walker, delivery: str) -> None:
    """The citizen reads what each answer means, and is asked."""
    cem.go("/mailbox", "cem")
    row = cem.page.locator("li.unopened", has=cem.page.locator(f'a[href$="{delivery}"]'))
    expect(row).to_contain_text("wacht op uw antwoord")
    expect(row).to_contain_text(re.compile(r"nog \d+ dagen"))
    cem.look("registered-mailbox-nl")
    row.locator("a").click()
    cem.sees("Een aangetekende zending wacht op uw antwoord")
    assert "Besluit in vertrouwen" not in cem.page.content()
    for language in ("nl", "fr", "de"):
        cem.speak(language)
        cem.page.reload()
        cem.look(f"registered-offer-{language}")
    cem.speak("en")
    cem.page.reload()
    cem.sees("Registered mail waits for your answer")
    expect(cem.page.locator("main")).to_contain_text("comes to you by registered post")
    cem.look("registered-offer-en")
    for path in ("documents/0", "documents/0/download"):
        answer = cem.page.goto(f"/mailbox/messages/{delivery}/{path}")
        assert answer is not None
        assert answer.status == 409
    cem.go(f"/mailbox/messages/{delivery}")
    cem.press("Accept…")
    cem.sees("Accept this registered mail?")
    cem.look("registered-accept-en")


def accepted_by(cem: Walker) -> None:
    """The citizen accepts, opens and downloads."""
    cem.press("Yes, I accept")
    cem.sees("Besluit in vertrouwen")
    cem.look("registered-accepted-en")
    cem.press("Open the letter")
    expect(cem.page.get_by_role("heading", name="Documents")).to_be_visible()
    assert cem.download("Download permit-nl-libreoffice.pdf").startswith(b"%PDF")


def kept_by(cem: Walker) -> Any:
    """The citizen reads what happened, and keeps the proof."""
    cem.page.reload()
    expect(cem.page.locator(".timeline")).to_contain_text("The registered mail was accepted.")
    expect(cem.page.locator(".effect")).to_contain_text("from the moment the recipient accepts it")
    cem.page.locator("summary").click()
    cem.look("registered-opened-en")
    cem.speak("nl")
    cem.page.reload()
    cem.look("registered-opened-nl")
    cem.page.locator("summary").click()
    return json.loads(cem.download("Bewijs downloaden van: Aanvaard"))


def followed_by(clerk: Walker, delivery: str) -> None:
    """The clerk sees what became of it, and under which rule."""
    clerk.go(f"/letters/{delivery}")
    expect(clerk.page.locator(".timeline")).to_contain_text("Accepted by the recipient")
    expect(clerk.page.locator(".effect")).to_contain_text("from the moment the recipient accepts it")
    clerk.look("registered-letter-opened")
    clerk.page.locator(".effect a").click()
    clerk.sees("Example: registered with acceptance")
    clerk.look("legal-basis-en")
    clerk.speak("nl")
    clerk.page.reload()
    clerk.look("legal-basis-nl")
    assert b'id = "example-consent"' in clerk.download("Het bestand downloaden")


def test_the_clerk_withdraws_what_nobody_answered_and_the_proof_says_why(service: RunningService, walk: Walk) -> None:
    clerk = walk()
    delivery = sent_by(clerk)
    clerk.press("Withdraw this letter")
    clerk.sees("Withdraw this letter?")
    clerk.look("withdraw")
    clerk.press("Yes, withdraw it")
    expect(clerk.page.locator("#reason-problem")).to_contain_text("Choose a reason.")
    clerk.look("withdraw-problem")
    clerk.page.get_by_label("It was sent twice.").check()
    clerk.press("Yes, withdraw it")
    expect(clerk.page.locator(".state .tag")).to_have_text("Withdrawn", timeout=PATIENCE)
    expect(clerk.page.locator(".timeline")).to_contain_text("It was sent twice.")
    service.until_evidence(delivery, "ConsignmentWithdrawal")
    clerk.page.reload()
    expect(clerk.page.get_by_text("Withdraw this letter")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
def test_another_refuses_and_reads_that_it_is_a_record(
    service: RunningService, walk: Walk, *, scripts: bool
) -> None:  # fmt: skip
    clerk = walk(language="nl", scripts=scripts)
    clerk.go("/letters/new", "tine")
    compose(clerk, LENA, "Lena Wouters", "confidential-notice")
    if not scripts:
        clerk.press("Alleen tonen wat er zal gebeuren")
        # Without a script the browser keeps no files over a page.
        clerk.page.set_input_files("#document", DOCUMENTS / "permit-nl-libreoffice.pdf")
    expect(clerk.page.locator(".prospect")).to_contain_text(
        "Weigert de ontvanger ze, dan wordt niets", timeout=PATIENCE
    )
    clerk.look(f"registered-new-letter-nl-{scripts}")
    clerk.press("De brief versturen")
    clerk.sees("De brief is onderweg")
    clerk.page.locator("a.button").first.click()
    delivery = clerk.page.url.rsplit("/", 1)[1]
    service.until_status(delivery, "offered")

    lena = walk(scripts=scripts)
    lena.go(f"/mailbox/messages/{delivery}", "lena")
    lena.sees("Registered mail waits for your answer")
    expect(lena.page.locator("main")).to_contain_text("The sender is told after acceptance")
    assert "Fictieve Belastingdienst" not in lena.page.content()
    lena.look(f"registered-offer-hidden-{scripts}")
    other = walk(scripts=scripts)
    other.go(f"/mailbox/messages/{delivery}/refuse", "an")
    other.sees("We can't find this page")
    late = lena.context.new_page()
    late.goto(f"/mailbox/messages/{delivery}/accept")
    lena.press("Refuse…")
    lena.sees("Refuse this registered mail?")
    lena.look(f"registered-refuse-{scripts}")
    lena.press("Yes, I refuse")
    lena.sees("This registered mail was refused")
    expect(lena.page.locator("main")).to_contain_text("Nothing else is sent to you.")
    lena.look(f"registered-refused-{scripts}")
    late.get_by_role("button", name="Yes, I accept").click()
    expect(late.locator("h1")).to_have_text("Your answer does not count")
    expect(late.locator("main")).to_contain_text("was refused before")
    assert service.agency().delivery(delivery)["status"] == "refused"
    lena.go("/mailbox")
    expect(lena.page.locator("main")).to_contain_text("Registered mail that was refused")
    lena.look(f"registered-mailbox-{scripts}")


def test_what_is_chosen_while_an_earlier_answer_is_on_its_way_is_not_lost(walk: Walk) -> None:
    clerk = walk()
    clerk.go("/letters/new", "tine")
    held: list[Route] = []
    clerk.page.route("**/letters/sending", lambda route: held.append(route))  # noqa: PLW0108  playwright wants a function
    clerk.page.select_option("#document_type", "formal-notice")
    expect(clerk.page.locator("#sending")).to_have_class(re.compile("htmx-request"))
    clerk.page.check("#registered")
    expect(clerk.page.locator("#registered")).to_be_checked()
    until(lambda: clerk.page.wait_for_timeout(50) or len(held) == 2, "the second question")
    assert "registered=yes" not in (held[0].request.post_data or "")
    assert "registered=yes" in (held[1].request.post_data or "")
    held[1].continue_()
    expect(clerk.page.locator(".prospect")).to_contain_text("Last day to accept or refuse it.", timeout=PATIENCE)
    expect(clerk.page.locator("#registered")).to_be_checked()


def test_registered_mail_is_agreed_to_and_stopped_apart(walk: Walk) -> None:
    an = walk(language="nl")
    an.go("/mailbox/activation", "an")
    an.look("registered-settings-nl")
    an.press("Aangetekende zendingen hier ontvangen")
    an.sees("Aangetekende zendingen in uw mailbox")
    an.press("Aangetekende zendingen hier ontvangen")
    expect(an.page.locator("#consent-problem")).to_contain_text("Vink het vakje aan")
    an.look("registered-consent-nl")
    an.page.check("#consent")
    an.press("Aangetekende zendingen hier ontvangen")
    an.sees("Digitaal of op papier")
    expect(an.page.locator("main")).to_contain_text("Aangetekende zendingen komen hier ook")
    an.speak("en")
    an.page.reload()
    an.look("registered-settings-on-en")
    an.press("Stop registered mail here")
    an.sees("No registered mail here any more?")
    an.look("registered-stop-en")
    an.press("Yes, stop it")
    expect(an.page.locator("main")).to_contain_text("Registered mail still comes by registered letter.")
