"""The whole service running for tests: what its callers see of it, and waiting for what must come."""

import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from cryptography import x509

from service.cli.demo_calls import Calls, Paper
from service.cli.demo_house import House
from service.embedded.fictional import PEOPLE, RECIPIENTS, Person, Recipient, request
from service.embedded.seeding import SeededClient
from service.embedded.supervisor import Pids
from service.ledger.verify import Check, verify_evidence
from tests.consent_support import Consents
from tests.tools_support import program

DOCUMENTS = Path(__file__).parent / "documents"
PATIENCE = 120.0
SETTINGS = {
    "ZENDING_PRINT_CUTOFF_SECONDS": "2",
    "ZENDING_CHECKPOINT_STAMP_SECONDS": "2",
    "ZENDING_LOG_FORMAT": "console",
    "ZENDING_WEBHOOK_HOSTS": "127.0.0.1",
}
"""What differs from the demonstration's settings: nobody should wait for the print cut-off."""

Found = TypeVar("Found")


class RunningService:
    """The service as its callers reach it; one for all tests of a process, so leave it as you found it."""

    def __init__(self, house: House, remote_signing: Consents) -> None:
        self.house = house
        self.remote_signing = remote_signing
        self.http = httpx.Client(base_url=house.base_url, timeout=60.0, trust_env=False)
        self._agencies: dict[str, Calls] = {}
        self._persons: dict[str, Calls] = {}

    def close(self) -> None:
        for calls in (*self._agencies.values(), *self._persons.values()):
            calls.close()
        self.http.close()

    @property
    def base_url(self) -> str:
        return self.house.base_url

    @property
    def home(self) -> Path:
        return self.house.home

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the service's processes."""
        return self.house.stack.environment

    @property
    def issuer(self) -> str:
        return self.environment["ZENDING_OIDC_ISSUER"]

    @property
    def clients(self) -> Mapping[str, SeededClient]:
        """Each organisation's program, by the organisation's slug: ``tax`` and ``voorbeeldegem``."""
        return self.house.clients

    @property
    def people(self) -> Mapping[str, Person]:
        """Who can log in, by log-in name."""
        return {person.login: person for person in PEOPLE}

    @property
    def recipients(self) -> Mapping[str, Recipient]:
        """Everybody a document can be for, by key; ``an``, ``cem`` and ``lena`` have an active mailbox."""
        return RECIPIENTS

    @property
    def print_folder(self) -> Path:
        return self.house.print_folder

    @property
    def mail_folder(self) -> Path:
        return self.home / "mail"

    @property
    def trust_anchor(self) -> Path:
        return Path(self.environment["ZENDING_TRUST_ANCHOR"])

    @property
    def ledger_key(self) -> str:
        return self.house.ledger_keys[0]

    @cached_property
    def _time_stamp_issuers(self) -> list[x509.Certificate]:
        assert self.house.time_stamp_issuer is not None
        return x509.load_pem_x509_certificates(self.house.time_stamp_issuer.read_bytes())

    def pids(self) -> Pids:
        return self.house.stack.pids()

    def agency(self, slug: str = "tax") -> Calls:
        """The API as an organisation's program calls it."""
        if slug not in self._agencies:
            self._agencies[slug] = self.house.agency(slug)
        return self._agencies[slug]

    def person(self, login: str) -> Calls:
        """The API as a person's program calls it."""
        if login not in self._persons:
            self._persons[login] = self.house.person(login)
        return self._persons[login]

    def token(self, slug: str = "tax") -> str:
        """An access token of an organisation's program."""
        return self.agency(slug).token()

    def person_token(self, login: str) -> str:
        """An access token of a person."""
        return self.person(login).token()

    def hand_in(
        self,
        recipient: str,
        content: bytes | None = None,
        *,
        sender: str = "tax",
        attachments: Collection[bytes] = (),
        name: str = "brief.pdf",
        key: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Hand in a small letter (or ``content``) for somebody; ``fields`` change the JSON."""
        pdf = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes() if content is None else content
        return self.agency(sender).hand_in(
            delivery_for(recipient, **fields),
            Paper(name, pdf),
            [Paper(f"bijlage-{number}.pdf", each) for number, each in enumerate(attachments, 1)],
            key=key or uuid4().hex,
        )

    def until_status(self, delivery_id: str, *statuses: str, sender: str = "tax") -> dict[str, Any]:
        """The delivery, once its status is one of these."""

        def look() -> dict[str, Any] | None:
            seen = self.agency(sender).delivery(delivery_id)
            return seen if seen["status"] in statuses else None

        return until(look, f"{delivery_id} to be {' or '.join(statuses)}")

    def until_evidence(self, delivery_id: str, *events: str, sender: str = "tax") -> dict[str, dict[str, Any]]:
        """One evidence file for each of these events, once all of them are published."""
        calls = self.agency(sender)

        def look() -> dict[str, str] | None:
            items = calls.evidence(delivery_id)
            found = {each["event"]: each["id"] for each in items if each["published"]}
            return found if set(events) <= found.keys() else None

        ids = until(look, f"evidence of {delivery_id}: {', '.join(events)}")
        return {event: calls.one_evidence(delivery_id, ids[event]) for event in events}

    def verify(self, evidence: Mapping[str, Any]) -> list[Check]:
        """Every check of an evidence file, by the verifier that stands alone."""
        # The time-stamp comes up to an interval after the checkpoint, and evidence may be fetched between the two.
        issuers = self._time_stamp_issuers if evidence.get("timestamp_token") else ()
        return verify_evidence(evidence, self.house.ledger_keys, issuers)


def delivery_for(recipient: str, **fields: Any) -> dict[str, Any]:
    """The JSON of a hand-in for one of the fictional recipients."""
    usual = {"reference": f"test-{uuid4().hex[:12]}", "subject": "Een brief", "document_type": "letter"}
    return request(RECIPIENTS[recipient], **(usual | {"language": "nl"} | fields))


def until(look: Callable[[], Found | None], what: str, *, seconds: float = PATIENCE) -> Found:
    """Wait for something that must come; ``look`` returns it, or something false while it is not there."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"it did not come: {what}"
        time.sleep(0.1)
    return found


def signatures(pdf: bytes) -> str:
    """What ``pdfsig`` says of a document's signatures; whom to trust is not its business here."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sealed.pdf"
        file.write_bytes(pdf)
        done = subprocess.run(
            [program("pdfsig"), "-nocert", str(file)], capture_output=True, text=True, check=True, cwd=folder
        )
    return done.stdout


def checked_by_qpdf(pdf: bytes) -> str:
    """What ``qpdf --check`` says."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checked.pdf"
        file.write_bytes(pdf)
        done = subprocess.run([program("qpdf"), "--check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def batches_with(service: RunningService, delivery_id: str) -> list[tuple[dict[str, Any], bytes]]:
    """Manifest and PDF of each parcel at the print house that holds a letter of this delivery."""
    found = []
    for parcel in sorted(service.print_folder.glob("PRT_*.ZIP")):
        with zipfile.ZipFile(parcel) as opened:
            manifest = json.loads(opened.read("manifest.json"))
            if any(letter["id"].startswith(delivery_id) for letter in manifest["letters"]):
                found.append((manifest, opened.read(manifest["files"][0]["name"])))
    return found


def parts_of(delivery: dict[str, Any], pdf: bytes) -> list[tuple[str, tuple[str | None, bytes, str]]]:
    """The parts of a hand-in's body."""
    return [
        ("delivery", (None, json.dumps(delivery).encode(), "application/json")),
        ("document", ("brief.pdf", pdf, "application/pdf")),
    ]
