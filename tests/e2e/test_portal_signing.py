"""People sign in Debian's Chromium, with an extension that speaks Web eID's protocol and a software card behind it."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.appearance_support import page
from tests.card_support import issue
from tests.portal_walk_support import Walk
from tests.service_support import RunningService, until
from tests.signatures_support import ask_over_http as ask
from tests.web_eid_support import Extension, pki_of

pytestmark = pytest.mark.browser


def read(service: RunningService, path: str) -> Any:
    return service.http.get(f"/v1/signature-requests/{path}", headers={"Authorization": f"Bearer {service.token()}"})


def until_state(service: RunningService, request: str, state: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = read(service, request).json()
        return found if found["state"] == state else None

    return until(look, f"{request} to be {state}")


def test_a_citizen_signs_with_a_card_and_the_result_is_sealed(service: RunningService, walk: Walk) -> None:
    request = ask(service, subject="Overeenkomst <b>kinderopvang</b>")
    an = walk()
    extension = Extension(an, issue(pki_of(service)))
    an.go("/signatures", "an")
    an.sees("To sign")
    an.look("signatures")
    an.page.locator(f'a[href$="{request}"]').click()
    an.sees("Overeenkomst <b>kinderopvang</b>")
    expect(an.page.get_by_role("button", name="Sign with my identity card")).to_be_enabled()
    an.look("to-sign")
    an.press("Read")
    expect(an.page.locator("iframe.viewer")).to_be_attached()
    an.look("to-sign-read")
    an.press("Back to signing")

    extension.refuses = True
    an.press("Sign with my identity card")
    expect(an.page.locator("#signing-problem")).to_have_text("You stopped. Nothing was signed.")
    an.look("to-sign-stopped")
    extension.refuses = False
    an.press("Sign with my identity card")
    expect(an.page.locator(".state-sentence").first).to_contain_text("You have signed.")
    an.look("signed")

    done = until_state(service, request, "completed")
    assert [(each["state"], each["level_reached"]) for each in done["signers"]] == [("signed", "qualified")]
    result = read(service, f"{request}/document").content
    roots = load_certificates(service.trust_anchor)
    with ThreadPoolExecutor(1) as apart:
        # The browser's driver has an event loop in this thread.
        report = apart.submit(validate, result, trust_roots=roots, at=datetime.now(UTC)).result()
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 2
    assert read(service, f"{request}/report").content.startswith(b"%PDF")
    hashes = [each["hash"] for each in extension.asked if each["action"] == "web-eid:sign"]
    assert len(hashes) == 2
    an.page.reload()
    expect(an.page.get_by_role("button", name="Sign with my identity card")).to_have_count(0)

    def published() -> list[Any] | None:
        items: list[Any] = read(service, f"{request}/evidence").json()["items"]
        return items if all(each["published"] for each in items) else None

    found = until(published, "its evidence to be published")
    assert [each["event"] for each in found] == ["SignatureRequested", "Signed", "SignatureRequestCompleted"]
    for each in found:
        whole = read(service, f"{request}/evidence/{each['id']}").json()
        assert all(check.ok is not False for check in service.verify(whole))


def test_several_documents_are_signed_in_one_go(service: RunningService, walk: Walk) -> None:
    request = ask(service, more=[page(text_to=400), page(text_to=300)])
    an = walk()
    extension = Extension(an, issue(pki_of(service)))
    an.go(f"/signatures/{request}", "an")
    expect(an.page.locator(".files li")).to_have_count(3)
    an.look("to-sign-several")
    an.page.locator(f'a[href="/signatures/{request}/documents/3/read"]').click()
    expect(an.page.locator("iframe.viewer")).to_have_attribute("src", f"/signatures/{request}/documents/3")
    an.press("Back to signing")
    # Stopping at the second PIN signs nothing.
    extension.refuse_from = 2
    an.press("Sign with my identity card")
    expect(an.page.locator("#signing-problem")).to_have_text("You stopped. Nothing was signed.")
    assert read(service, request).json()["signers"][0]["state"] == "asked"
    extension.refuse_from = 0
    an.press("Sign with my identity card")
    expect(an.page.locator(".state-sentence").first).to_contain_text("You have signed.")
    done = until_state(service, request, "completed")
    assert [each["filename"] for each in done["documents"]] == ["overeenkomst.pdf", "bijlage-2.pdf", "bijlage-3.pdf"]
    for each in done["documents"]:
        content = read(service, f"{request}/documents/{each['number']}").content
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
    assert read(service, f"{request}/documents/4").status_code == 404


def test_somebody_elses_card_is_refused_in_words(service: RunningService, walk: Walk) -> None:
    request = ask(service)
    an = walk(language="nl")
    Extension(an, issue(pki_of(service), number="17073003384"))
    an.go(f"/signatures/{request}", "an")
    an.press("Tekenen met mijn identiteitskaart")
    said = "Dit is de kaart van iemand anders. Gebruik uw eigen kaart."
    expect(an.page.locator("#signing-problem")).to_have_text(said)
    an.look("to-sign-problem-nl")


def test_a_browser_without_the_extension_is_told_what_is_missing(service: RunningService, walk: Walk) -> None:
    request = ask(service)
    an = walk()
    an.go(f"/signatures/{request}", "an")
    expect(an.page.locator("#signing-state")).to_contain_text("Your browser has no Web eID.")
    an.look("to-sign-missing")


def test_messages_of_other_windows_and_questions_are_not_listened_to(service: RunningService, walk: Walk) -> None:
    request = ask(service)
    an = walk()
    Extension(an, issue(pki_of(service)))
    an.go(f"/signatures/{request}", "an")
    # An answer to what nobody asked, and one that names no action of the protocol.
    for action in ("web-eid:sign-success", "web-eid:authenticate-success", "other"):
        an.page.evaluate("(action) => window.postMessage({action, signature: 'x'}, window.location.origin)", action)
    an.press("Sign with my identity card")
    expect(an.page.locator(".state-sentence").first).to_contain_text("You have signed.")


def test_a_citizen_refuses_with_a_reason(service: RunningService, walk: Walk) -> None:
    request = ask(service)
    looking = walk()
    looking.go(f"/signatures/{request}/refuse", "an")
    looking.sees("You don't sign?")
    looking.look("to-refuse")
    looking.press("I don't sign")
    expect(looking.page.locator("#reason-problem")).to_contain_text("Say why you don't sign.")
    looking.look("to-refuse-problem")
    # Without scripts too.
    an = walk(scripts=False)
    an.go(f"/signatures/{request}", "an")
    expect(an.page.get_by_role("button", name="Sign with my identity card")).to_be_disabled()
    an.press("I don't sign")
    an.sees("You don't sign?")
    an.press("I don't sign")
    expect(an.page.locator("#reason-problem")).to_contain_text("Say why you don't sign.")
    an.page.fill("#reason", "Het bedrag klopt niet.")
    an.press("I don't sign")
    expect(an.page.locator(".state-sentence").first).to_contain_text("Somebody refused to sign.")
    found = until_state(service, request, "refused")
    assert found["signers"][0]["reason"] == "Het bedrag klopt niet."


def test_nobody_else_finds_the_request(service: RunningService, walk: Walk) -> None:
    request = ask(service)
    cem = walk()
    answer = cem.go("/home", "cem")
    for path in (request, f"{request}/documents/1/read", f"{request}/documents/1", f"{request}/refuse"):
        answer = cem.go(f"/signatures/{path}")
        assert answer is not None
        assert answer.status == 404, path
