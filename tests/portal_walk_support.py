"""People who walk through the portal in Debian's Chromium, with an eye on everything each page must keep to."""

import email
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from tests.service_support import until
from tests.tools_support import program

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
PATIENCE = 60_000
SHOTS = "ZENDING_SCREENSHOTS"
"""Environment variable: a folder where a picture of every page is kept, for people to look at."""


@contextmanager
def chromium(base_url: str) -> Iterator[Browser]:
    """Debian's browser, talking to nobody but us.

    On machines apart the service has plain HTTP at an address that is not loopback, where TLS ends before it in an
    installation; the browser is to see it as it would be seen there.
    """
    trusted = f"--unsafely-treat-insecure-origin-as-secure={base_url}"
    arguments = ["--disable-gpu", "--disable-background-networking", trusted]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Walker:
    """Somebody with a browser of their own.

    ``look`` holds the page they see to what every page must keep to: accessible, usable on a phone and at 200 %,
    nothing blocked by our own policy, no failing script.
    """

    def __init__(self, browser: Browser, base_url: str, *, language: str = "en", scripts: bool = True) -> None:
        self.base_url = base_url
        self.scripts = scripts
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            viewport=WIDE,  # type: ignore[arg-type]
            java_script_enabled=scripts,
            base_url=base_url,
            accept_downloads=True,
        )
        self.context.set_default_timeout(PATIENCE)
        self.speak(language)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def close(self) -> None:
        self.context.close()

    def speak(self, language: str) -> None:
        self.context.add_cookies([{"name": "zending_language", "value": language, "url": self.base_url}])

    def go(self, path: str, login: str | None = None) -> Response | None:
        """Go to a page; with a log-in, as that person, by way of the identity provider."""
        answer = self.page.goto(path)
        if login is not None and not self.page.url.startswith(self.base_url):
            self.page.click(f"button[value={login}]")
            self.page.wait_for_url(f"{self.base_url}/**")
        return answer

    def press(self, text: str) -> None:
        """Press a button or follow a link of the page's content, by what it says."""
        self.page.locator("main").get_by_role("button", name=text).or_(
            self.page.locator("main").get_by_role("link", name=text)
        ).first.click()

    def sees(self, text: str) -> None:
        """Wait for the main heading."""
        expect(self.page.locator("h1").first).to_contain_text(text, timeout=PATIENCE)

    def download(self, text: str) -> bytes:
        """Follow a link that gives a file to keep."""
        with self.page.expect_download() as waiting:
            self.press(text)
        return Path(waiting.value.path()).read_bytes()

    def look(self, name: str) -> None:
        """Hold the page to what every page must keep to."""
        self.page.wait_for_load_state()
        if folder := os.environ.get(SHOTS):
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)
        if self.scripts:
            found = Axe().run(self.page, options={"runOnly": RULES}).response["violations"]
            assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
            self._fits(name)
        assert " – " in self.page.title()
        assert self.page.locator("h1").count() == 1, name
        assert self.complaints == [], f"{name}: {self.complaints}"

    def _fits(self, name: str) -> None:
        self.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        width = self.page.evaluate("document.documentElement.scrollWidth")
        if folder := os.environ.get(SHOTS):
            self.page.screenshot(path=f"{folder}/{name}-phone.png", full_page=True)
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        assert width <= PHONE["width"], f"{name} is {width} wide on a phone"

    def _hear(self, message: Any) -> None:
        # A refused form is a 4xx, which browsers count as an error of the page; a question that a newer one took the
        # place of was ended by us.
        wanted = "status of 4" in message.text or message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
        if message.type == "error" and not wanted:
            self.complaints.append(message.text)


def code_sent_to(address: str, folder: Path, *, after: int = 0) -> str:
    """The newest confirmation code that was sent to an address, once more than ``after`` have come."""

    def newest() -> str | None:
        mails = [email.message_from_bytes(file.read_bytes()) for file in sorted(folder.glob("*.eml"))]
        codes = [
            found for mail in mails if address in str(mail["To"]) for found in re.findall(r"\b\d{6}\b", _text(mail))
        ]
        return codes[-1] if len(codes) > after else None

    return until(newest, f"a code for {address}")


def codes_sent_to(address: str, folder: Path) -> int:
    """How many mails went to an address so far."""
    return sum(address.encode() in file.read_bytes() for file in folder.glob("*.eml"))


def _text(mail: Message) -> str:
    part = next((each for each in mail.walk() if each.get_content_type() == "text/plain"), mail)
    raw = part.get_payload(decode=True)
    return raw.decode("utf-8") if isinstance(raw, bytes) else ""


Walk = Callable[..., Walker]


@contextmanager
def walks(browser: Browser, base_url: str) -> Iterator[Walk]:
    """Walkers one after the other or side by side, who all leave at the end of the block."""
    walkers: list[Walker] = []

    def begin(**how: Any) -> Walker:
        walkers.append(Walker(browser, base_url, **how))
        return walkers[-1]

    yield begin
    for walker in walkers:
        walker.close()
