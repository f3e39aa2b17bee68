"""People sign at a remote service by their consent, in Debian's Chromium, by that service's own pages."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.card_support import issue
from tests.csc_support import Answer
from tests.e2e.test_portal_signing import pki_of, read, until_state
from tests.portal_walk_support import Walk
from tests.service_support import RunningService
from tests.signatures_support import ask_over_http as ask
from tests.signatures_support import person

pytestmark = pytest.mark.browser


def test_a_citizen_signs_at_a_remote_service(service: RunningService, walk: Walk) -> None:
    service.remote_signing.card = issue(pki_of(service))
    request = ask(service, person(way="csc"))
    # Without scripts too.
    an = walk(scripts=False)
    an.go(f"/signatures/{request}", "an")
    an.sees("Overeenkomst")
    an.look("to-sign-consent")
    an.press("Sign with Fictional")
    an.press("No")
    expect(an.page.locator(".problem")).to_have_text("You stopped. Nothing was signed.")

    # The service breaks down; nothing is lost by that.
    service.remote_signing.lie = lambda *_: Answer(b"<html>fine</html>", kind="text/html")
    an.press("Sign with Fictional")
    an.press("I agree")
    expect(an.page.locator(".problem")).to_contain_text("Nothing is lost: try again in a few minutes.")
    an.complaints.clear()  # browsers note each page that is no success
    an.look("to-sign-consent-problem")
    service.remote_signing.lie = None

    an.press("Sign with Fictional")
    an.press("I agree")
    # There a second time, now for this very signature.
    expect(an.page.locator("h1")).to_have_text("Do you agree?")
    assert "scope=credential" in an.page.url
    an.press("I agree")
    expect(an.page.locator(".state-sentence").first).to_contain_text("You have signed.")

    done = until_state(service, request, "completed")
    assert [(each["way"], each["level_reached"]) for each in done["signers"]] == [("csc", "qualified")]
    result = read(service, f"{request}/document").content
    roots = load_certificates(service.trust_anchor)
    with ThreadPoolExecutor(1) as apart:
        # The browser's driver has an event loop in this thread.
        report = apart.submit(validate, result, trust_roots=roots, at=datetime.now(UTC)).result()
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 2


def test_what_one_session_began_is_worth_nothing_in_another(service: RunningService, walk: Walk) -> None:
    service.remote_signing.card = issue(pki_of(service))
    request = ask(service, person(way="csc"))
    an, cem = walk(), walk()
    an.go(f"/signatures/{request}", "an")
    an.press("Sign with Fictional")
    expect(an.page.locator("h1")).to_have_text("Do you agree?")
    brought = service.remote_signing.decide(an.page.url)
    back = f"/signatures/return?code={brought['code']}&state={brought['state']}"
    # Another person with the same link, without what was kept, and with it.
    cem.go("/home", "cem")
    for _ in range(2):
        cem.go(back)
        assert cem.page.url == f"{service.base_url}/signatures"
        (kept,) = [each for each in an.context.cookies() if each["name"] == "zending_signing"]
        cem.context.add_cookies([{"name": kept["name"], "value": kept["value"], "url": service.base_url}])
    # It was taken by that, once and for all.
    an.go(back)
    assert an.page.url == f"{service.base_url}/signatures"
    assert read(service, request).json()["signers"][0]["state"] == "asked"
