"""One citizen lets another act for her, in Debian's Chromium: code, scope, banner, reading, acting, revoking."""

import re

import pytest
from playwright.sync_api import expect

from tests.portal_walk_support import Walk, Walker
from tests.service_support import RunningService

pytestmark = pytest.mark.browser


def gives(an: Walker) -> str:
    """An lets Cem act for her, after a few mistakes; the code."""
    an.go("/mailbox/mandates", "an")
    an.sees("Volmachten")
    an.look("mandates-none-nl")
    an.press("Iemand voor mij laten handelen")
    an.look("mandates-new-nl")
    an.page.fill("#number", "85073003328")
    an.page.check("#which-some")
    an.press("De volmacht geven en de code krijgen")
    expect(an.page.locator("#summary")).to_contain_text("Vul dit in")
    expect(an.page.locator("#which-some-problem")).to_contain_text("Kies minstens één afzender")
    an.look("mandates-new-problem-nl")
    an.page.check("#which-all")
    an.page.fill("#name", "Cem Aydin")
    an.press("De volmacht geven en de code krijgen")
    expect(an.page.locator("#number-problem")).to_contain_text("Dit is uw eigen nummer")
    an.page.fill("#number", "94.02.27-225.80")
    an.page.check("#effect-yes")
    an.press("De volmacht geven en de code krijgen")
    an.sees("De code voor Cem Aydin")
    an.look("mandates-code-nl")
    code: str = an.page.locator(".handed").inner_text()
    assert re.fullmatch(r"[2-9A-Z]{5}-[2-9A-Z]{5}", code)
    an.press("Ik heb de code: verder")
    # Others of this service may have given some: the newest stands first.
    expect(an.page.locator(".rows .tag").first).to_have_text("Wacht op de code")
    assert code not in an.page.content()
    return code


def acts(cem: Walker, code: str, service: RunningService, delivery: str) -> str:
    """Cem takes it on and opens a letter, without a script; the page he is at."""
    cem.go("/mailbox/mandates", "cem")
    cem.page.fill("#code", "AAAAA-AAAAA")
    cem.press("Accept the mandate")
    expect(cem.page.locator("#code-problem")).to_contain_text("This code is not right")
    cem.page.fill("#code", code.lower())
    cem.press("Accept the mandate")
    cem.sees("Mailbox of An Peeters")
    banner = cem.page.get_by_role("region", name="For whom you act")
    cem.look("mandates-acting")
    cem.press("Eerste brief")
    cem.look("mandates-acting-closed")
    for _ in range(2):
        expect(banner).to_contain_text("You act for An Peeters")
        if cem.page.get_by_role("button", name="Open the letter").count():
            cem.press("Open the letter")
    expect(cem.page.get_by_role("heading", name="Documents")).to_be_visible()
    assert "/mailbox/for/mdt_" in cem.page.url
    assert cem.download("Download")
    service.until_status(delivery, "opened")
    record = service.until_evidence(delivery, "ContentAccessTracking")["ContentAccessTracking"]["record"]
    assert record["identification"]["acted_for"]["basis"] == "mandate"
    acting: str = cem.page.url
    banner.get_by_role("link", name="Back to my own mailbox").click()
    cem.sees("Your mailbox")
    expect(banner).to_have_count(0)
    expect(cem.page.get_by_text("Eerste brief")).to_have_count(0)
    # What belongs to the other mailbox is not in one's own.
    assert cem.go(f"/mailbox/messages/{delivery}").status == 404  # type: ignore[union-attr]
    return acting


def test_somebody_acts_for_another_until_it_is_revoked(service: RunningService, walk: Walk) -> None:
    first, second = (service.hand_in("an", subject=subject) for subject in ("Eerste brief", "Tweede brief"))
    for each in (first, second):
        service.until_status(each["id"], "available")
    an, cem = walk(language="nl"), walk(scripts=False)
    acting = acts(cem, gives(an), service, first["id"])
    an.go("/mailbox/mandates")
    expect(an.page.locator(".rows .tag").first).to_have_text("Geldig")
    an.look("mandates-list-nl")
    an.page.locator(".rows a").first.click()
    expect(an.page.get_by_text("Brief geopend")).to_be_visible()
    an.look("mandates-log-nl")
    an.press("Deze volmacht beëindigen")
    an.sees("Deze volmacht beëindigen?")
    an.look("mandates-revoke-nl")
    cem.go(acting)
    an.press("Ja, beëindigen")
    expect(an.page.locator(".state .tag")).to_have_text("Ingetrokken")
    an.look("mandates-revoked-nl")
    # His page is still open, and nothing on it works any more.
    cem.press("Read brief.pdf")
    expect(cem.page.get_by_text("This mandate is over.")).to_be_visible()
    cem.look("mandates-over")
    assert cem.go(acting).status == 403  # type: ignore[union-attr]
    assert service.agency().delivery(second["id"])["status"] == "available"


def test_whoever_may_only_read_leaves_the_letter_unopened(service: RunningService, walk: Walk) -> None:
    handed = service.hand_in("an", subject="Alleen gelezen")
    service.until_status(handed["id"], "available")
    an, lena = walk(), walk()
    an.go("/mailbox/mandates/new", "an")
    an.page.fill("#number", "98472899765")
    an.page.fill("#name", "Lena Wouters")
    an.page.check("#registered")
    an.page.fill("#last_day", "2099-12-31")
    an.press("Give the mandate and get the code")
    an.look("mandates-code")
    code = an.page.locator(".handed").inner_text()
    lena.go("/mailbox/mandates", "lena")
    lena.page.fill("#code", code)
    lena.press("Accept the mandate")
    lena.press("Alleen gelezen")
    expect(lena.page.get_by_role("region", name="For whom you act")).to_contain_text("for reading only")
    lena.look("mandates-reading")
    lena.press("Open the letter")
    expect(lena.page.get_by_role("heading", name="Documents")).to_be_visible()
    lena.look("mandates-reading-open")
    record = service.until_evidence(handed["id"], "ContentAccessTracking")["ContentAccessTracking"]["record"]
    assert record["reasons"] == ["mandate_without_effect"]
    assert service.agency().delivery(handed["id"])["status"] == "available"
    an.go(f"/mailbox/messages/{handed['id']}")
    expect(an.page.get_by_role("button", name="Open the letter")).to_be_visible()
    lena.go("/mailbox/mandates")
    lena.look("mandates-held")
    lena.press("An Peeters")
    lena.press("Give this mandate back")
    lena.press("Yes, end it")
    expect(lena.page.locator(".state .tag")).to_have_text("Revoked")
    assert lena.go(f"/mailbox/for/{lena.page.url.rsplit('/', 1)[1]}").status == 403  # type: ignore[union-attr]
