"""What everybody sees: the start page, logging in and out, a session that is over, an address that is wrong."""

import pytest
from playwright.sync_api import expect

from tests.portal_walk_support import PHONE, WIDE, Walk
from tests.service_support import RunningService

pytestmark = pytest.mark.browser


STARTS = {
    "Nederlands": "Officiële documenten, veilig bezorgd",
    "Français": "Documents officiels, remis en toute sécurité",
    "Deutsch": "Amtliche Dokumente, sicher zugestellt",
    "English": "Official documents, safely delivered",
}


def test_the_start_page_explains_the_service_in_every_language(walk: Walk) -> None:
    visitor = walk(language="nl")
    visitor.go("/")
    for language, heading in STARTS.items():
        visitor.page.get_by_role("button", name=language).click()
        visitor.sees(heading)
        visitor.look(f"start-{language}")
        # The choice of languages stands on one line of a phone.
        visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        buttons = visitor.page.locator(".language button")
        places = buttons.evaluate_all("all => all.map(each => each.getBoundingClientRect().top)")
        assert (len(places), len(set(places))) == (4, 1)
        visitor.page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(walk: Walk) -> None:
    visitor = walk()
    visitor.go("/")
    visitor.page.keyboard.press("Tab")
    skip = visitor.page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("main")).to_be_focused()
    visitor.page.keyboard.press("Tab")
    button = visitor.page.get_by_role("link", name="Log in")
    expect(button).to_be_focused()
    assert button.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"


def test_logging_out_ends_both_sessions(walk: Walk, service: RunningService) -> None:
    lena = walk()
    lena.go("/home", "lena")
    cookie = next(each for each in lena.context.cookies() if each["name"] == "zending_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    lena.page.get_by_role("button", name="Log out").click()
    lena.page.wait_for_url(f"{service.issuer}/**")
    lena.page.get_by_role("button", name="Log out").click()
    lena.page.wait_for_url(f"{service.base_url}/**")
    lena.sees("You are logged out")
    lena.look("logged-out")
    # The cookie of before opens nothing any more.
    lena.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": service.base_url}])
    answer = lena.go("/mailbox")
    assert answer is not None
    assert answer.status == 401
    lena.sees("Your session is over")
    lena.look("session-over")


def test_a_refused_log_in_can_be_tried_again(walk: Walk, service: RunningService) -> None:
    visitor = walk()
    visitor.go("/login")
    visitor.page.get_by_role("button", name="Do not log in").click()
    visitor.page.wait_for_url(f"{service.base_url}/**")
    visitor.sees("The log-in was not completed")
    visitor.look("log-in-refused")


def test_a_wrong_address_has_a_friendly_page(walk: Walk) -> None:
    visitor = walk(language="nl")
    answer = visitor.go("/there/is/nothing")
    assert answer is not None
    assert answer.status == 404
    visitor.sees("We vinden deze pagina niet")
    visitor.look("not-found-nl")
