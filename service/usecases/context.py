"""What use cases are given: the parts that bootstrap wired, and nothing they could reach by themselves."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from printing.asked import Look
from printing.checks import Findings
from service.channels.base import MailboxChannel
from service.db.jobs import JobKind
from service.db.models import Organisation
from service.db.session import Database
from service.domain import legal_bases
from service.domain.errors import Retryable
from service.domain.legal_basis import Register
from service.inspection.inspector import Inspection
from service.ledger.cosigning import KnownWitness
from service.notifications.base import Notifier
from service.outgoing import Poster
from service.printers.wired import Printers
from service.usecases.desk import Desk
from service.usecases.meters import Meter
from service.usecases.receipts import Receipts
from service.vault.keyring.base import IndexKeys, KeyRing
from service.vault.vault import Vault
from signing.keys.consent import ConsentService
from signing.renewal import Renewer
from signing.seal import Sealer
from signing.signers import SignerCheck
from signing.timestamps import TimeStampAuthority


class Inspector(Protocol):
    """Looks at a PDF from outside; see ``service.inspection``."""

    def inspect(self, pdf: bytes) -> Inspection:
        """Judge one document, or refuse it."""
        ...


class LetterInspector(Protocol):
    """Looks at letters where they can do no harm; see ``service.inspection.letter_inspector``."""

    def check(self, looks: Sequence[Look]) -> Sequence[Findings | Retryable]:
        """Look at documents and letters of one organisation; one that cannot be judged at present keeps no other up."""
        ...


@dataclass(frozen=True)
class Limits:
    """The limits of a hand-in, a look-up and a submission, as settings give them; sizes in bytes.

    Attributes:
        interactive: deliveries that programs of all organisations may put into the interactive lane in a minute.
        pages: of all documents of a signature request together.
    """

    delivery_bytes: int
    documents: int
    lookup: int
    submission_bytes: int = 10 * 1024**3
    submission_rows: int = 100_000
    interactive: int = 60
    pages: int = 300


@dataclass(frozen=True)
class PostPromises:
    """Working days after its hand-over in which a letter is posted; days in which the print house deletes our files."""

    deadline_days: int = 3
    deletion_days: int = 30


@dataclass(frozen=True)
class Context:
    """The wired parts.

    Attributes:
        clock: the time of the database's machine and ours are kept together; it is asked once per step.
        index: for keyed hashes of recipients' numbers.
        letters: looks at what is to be printed.
        sealer: the sealer of an organisation's seal profile, kept once made.
        renewer: gives sealed documents a newer time-stamp.
        signature_renewer: the same for documents that people signed, whose issuers it asks too.
        renewal_margin: how long before its proof ends a document is renewed.
        printers: the print houses that letters go to.
        wake: tells workers that there is work; failing to is harmless.
        issuer_name: who vouches for evidence records.
        base_url: where people find the service.
        desk: where the hand-ins of this process meet.
        meter: what this process admitted of organisations' daily quotas.
        receipts: what went out, told outside the database.
        log_origin: the name of the evidence log.
        signed_size: how many leaves were signed, as the head outside the database says; None before the first time.
        log_keys: the public keys of a log by its name, ours or one that was closed here, as those who verify take them.
        roots: the certificates that seals and time-stamps are traced to.
        witnesses: who cosigns the evidence log's checkpoints.
        quiet_hours: nobody is written to between 23:00 and 07:00.
        signers: decides whose certificates people may sign with; None where signing by people is not set up.
        consent: the remote service where people sign by their consent; None where none is set.
        tsa: makes the time-stamps of people's signatures.
        poster: sends webhooks.
        register: the legal-basis register that deliveries are sent under.
    """

    database: Database
    vault: Vault
    keyring: KeyRing
    index: IndexKeys
    inspector: Inspector
    letters: LetterInspector
    sealer: Callable[[Organisation], Sealer]
    renewer: Renewer
    signature_renewer: Renewer
    renewal_margin: timedelta
    channel: MailboxChannel
    notifier: Notifier
    printers: Printers
    wake: Callable[[Collection[JobKind]], object]
    clock: Callable[[], datetime]
    issuer_name: str
    base_url: str
    limits: Limits
    receipts: Receipts
    log_origin: str
    signed_size: Callable[[], int | None]
    log_keys: Callable[[str], Sequence[str]]
    roots: Sequence[x509.Certificate]
    witnesses: Sequence[KnownWitness] = ()
    quiet_hours: bool = True
    post_promises: PostPromises = PostPromises()
    signers: SignerCheck | None = None
    consent: ConsentService | None = None
    tsa: TimeStampAuthority | None = None
    poster: Poster = field(default_factory=Poster, repr=False)
    register: Register = field(default_factory=legal_bases.load, repr=False)
    desk: Desk = field(default_factory=Desk, repr=False, compare=False)
    meter: Meter = field(default_factory=Meter, repr=False, compare=False)
