"""The only wiring: settings in, a whole application out."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from celery import Celery

from service import authorities, outgoing, own_keys, tracing, validators
from service.channels.internal import InternalChannel
from service.db.migrations import SchemaTooOld, refuse_older
from service.db.session import CONNECT_SECONDS, Database
from service.domain import legal_bases
from service.domain.identifiers import RecipientId
from service.engine.wakeups import Waker, make_celery
from service.identity.id_tokens import ClaimNames
from service.identity.oidc import OidcSettings, OpenIdProvider
from service.identity.tokens import (
    SigningKey,
    TokenIssuer,
    TokenVerifier,
)
from service.inspection.inspector import Inspector, LateInspector
from service.inspection.letter_inspector import LetterInspector
from service.inspection.limits import InspectionLimits
from service.inspection.scanners.base import MalwareScanner
from service.inspection.scanners.clamd import ClamdScanner
from service.inspection.scanners.none import NoScanner
from service.inspection.validator import Validator
from service.ledger.keys import LogSigner
from service.notifications.envelopes import Envelopes
from service.notifications.maildir import Maildir
from service.notifications.smtp import SmtpNotifier
from service.own_keys import SEALS
from service.printers import opening
from service.printers.description import PrinterRefused, read_numbers
from service.printers.wired import Printers
from service.seals.making import maker
from service.seals.refused import RefusedPins
from service.seals.sealers import Sealers, in_files
from service.settings import Mode, Settings, SettingsRefused
from service.usecases.bounces import Returns
from service.usecases.context import Context, Limits, PostPromises
from service.usecases.heartbeats import Beating, Machine
from service.usecases.log_head import StoredHead
from service.usecases.operations import Promises
from service.usecases.products import LETTER, REGISTERED_LETTER
from service.usecases.receipts import Receipts
from service.usecases.retention import Periods
from service.vault import crypto
from service.vault.keyring.base import IndexKeys
from service.vault.keyring.file import FileKeyRing
from service.vault.objects.address import is_for_one_machine, is_there, open_store
from service.vault.objects.away import AwayStore
from service.vault.objects.base import ObjectStore
from service.vault.vault import Vault
from signing.renewal import Renewer
from signing.revocation import RevocationSource
from signing.timestamps import LARGEST_STAMP, TimeStampAuthority
from signing.trust import load_certificates

REFUSED_PINS: Final = "refused-pins"
AUDIENCE: Final = "zending"
OPERATORS_SECONDS: Final = 2
"""How long an operator's command waits for a connection to the database; the driver knows no less."""


@dataclass(frozen=True)
class Application:
    """The wired parts of one process; ``close`` lets go of them."""

    settings: Settings
    context: Context
    store: ObjectStore
    tsa: TimeStampAuthority
    sealers: Sealers
    scanner: MalwareScanner
    celery: Celery
    validator: Callable[[], Validator]
    identity: OpenIdProvider
    tokens: TokenIssuer
    verifier: TokenVerifier
    token_keys: Sequence[SigningKey]
    log_signer: LogSigner
    returns: Returns | None
    closing: contextlib.ExitStack = field(repr=False)

    @property
    def promises(self) -> Promises:
        """What is late when."""
        setting = self.settings
        return Promises(
            seal=setting.promise_seal_seconds,
            mailbox=setting.promise_mailbox_seconds,
            bulk=setting.promise_bulk_seconds,
            hand_over=setting.promise_hand_over_seconds,
            cutoff=setting.print_cutoff_seconds,
        )

    def close(self) -> None:
        """Stop helpers and close connections."""
        self.closing.close()


def build(settings: Settings, *, hands_in: bool = False, operating: bool = False) -> Application:
    """Wire a process.

    Args:
        settings: checked settings.
        hands_in: the process takes documents all the time, so it keeps an inspection helper from the start.
        operating: an operator's command, which must do what it can when half of the service is down: it waits no
            longer for the database than a person does, and goes on without a store that is away.

    Raises:
        SettingsRefused: a key or certificate that the settings name is not there.
    """
    closing = contextlib.ExitStack()
    try:
        return _build(settings, closing, hands_in=hands_in, operating=operating)
    except BaseException:
        closing.close()
        raise


def _build(settings: Settings, closing: contextlib.ExitStack, *, hands_in: bool, operating: bool) -> Application:
    # First, for it asks nobody: an operator hears what is wrong with a file before anything else is there.
    printers = _printers(settings, closing)
    url = settings.database_url.get_secret_value()
    patience = OPERATORS_SECONDS if operating else CONNECT_SECONDS
    database = Database(url, pool_size=settings.api_threads, connect_seconds=patience)
    closing.callback(database.dispose)
    try:
        refuse_older(database)
    except SchemaTooOld as old:
        raise SettingsRefused(str(old)) from None
    keyring = FileKeyRing(settings.keys_folder / "keyring")
    store = _store(settings, database, operating=operating)
    index = keyring.index_keys()
    tsa = closing.enter_context(authorities.time_stamps(settings))
    revocation = closing.enter_context(authorities.revocation(settings))
    if not operating:
        _refuse_file_keys(settings)
    sealers = _sealers(settings, tsa, revocation)
    closing.callback(sealers.close)
    celery = make_celery(settings.broker_url.get_secret_value())
    waker = Waker(celery, slots=settings.worker_slots)
    closing.callback(waker.close)
    scanner = _scanner(settings)
    token_keys, log_signer = own_keys.token_keys(settings), own_keys.log_signer(settings)

    def open_inspector() -> Inspector:
        return closing.enter_context(Inspector(inspection_limits(settings), scanner))

    def find_hashes(recipient: RecipientId) -> tuple[bytes, ...]:
        return crypto.recipient_hashes(index, recipient.kind.value, recipient.value)

    signers = authorities.signers(settings)
    if signers is not None:
        closing.callback(signers.close)
    consent = authorities.consent(settings)
    if consent is not None:
        closing.callback(consent.close)
    envelopes = _envelopes(settings, index)
    context = Context(
        database=database,
        vault=Vault(store, keyring),
        keyring=keyring,
        index=index,
        inspector=open_inspector() if hands_in else LateInspector(open_inspector),
        letters=closing.enter_context(LetterInspector(inspection_limits(settings), late=True)),
        sealer=sealers,
        renewer=Renewer(tsa, revocation, stamp_size=LARGEST_STAMP),
        signature_renewer=Renewer(tsa, (signers and signers.revocation) or revocation, stamp_size=LARGEST_STAMP),
        renewal_margin=timedelta(days=settings.seal_renewal_days),
        channel=InternalChannel(database, find_hashes),
        notifier=SmtpNotifier(settings.smtp_url.get_secret_value(), settings.mail_sender, envelopes=envelopes),
        printers=printers,
        wake=waker.wake,
        clock=lambda: datetime.now(UTC),
        issuer_name=settings.issuer_name,
        base_url=settings.base_url,
        limits=Limits(
            settings.max_delivery_bytes,
            settings.max_documents,
            settings.lookup_limit,
            settings.max_submission_bytes,
            settings.max_submission_rows,
            settings.interactive_per_minute,
            settings.max_pages,
        ),
        post_promises=PostPromises(settings.print_deadline_days, settings.print_deletion_days),
        receipts=Receipts(store, index),
        log_origin=settings.ledger_origin,
        signed_size=StoredHead(store, settings.ledger_origin).signed_size,
        log_keys=lambda origin: replace(log_signer, origin=origin).vkeys,
        roots=load_certificates(settings.trust_anchor),
        witnesses=authorities.witnesses(settings),
        quiet_hours=settings.quiet_hours,
        signers=signers,
        consent=consent,
        tsa=tsa,
        poster=outgoing.Poster(settings.webhook_hosts.split()),
        register=legal_bases.load(settings.legal_bases),
    )
    issuer = settings.base_url
    return Application(
        settings=settings,
        context=context,
        store=store,
        tsa=tsa,
        sealers=sealers,
        scanner=scanner,
        celery=celery,
        validator=validators.validator(settings, settings.keys_folder / SEALS, inspection_limits(settings), closing),
        identity=_identity(settings, closing),
        tokens=TokenIssuer(
            issuer=issuer, audience=AUDIENCE, key=token_keys[0], lifetime=timedelta(seconds=settings.token_seconds)
        ),
        verifier=TokenVerifier(issuer=issuer, audience=AUDIENCE, keys=token_keys),
        token_keys=token_keys,
        log_signer=log_signer,
        returns=_returns(settings, envelopes),
        closing=closing,
    )


def _printers(settings: Settings, closing: contextlib.ExitStack) -> Printers:
    if settings.printers is None:
        try:
            numbers = () if settings.print_numbers is None else read_numbers(settings.print_numbers)
        except PrinterRefused as error:
            raise SettingsRefused(f"ZENDING_PRINT_NUMBERS can't be used: {error}.") from None
        return opening.only(
            name=settings.print_provider,
            sender=settings.print_sender,
            folder=settings.print_folder,
            incoming=settings.print_incoming,
            period=timedelta(seconds=settings.print_cutoff_seconds),
            products=(LETTER, REGISTERED_LETTER),
            numbers=numbers,
        )
    try:
        return opening.open_all(
            settings.printers,
            encrypted=settings.mode is Mode.PRODUCTION,
            closing=closing,
            needed=(LETTER, REGISTERED_LETTER),
        )
    except PrinterRefused as error:
        raise SettingsRefused(f"ZENDING_PRINTERS can't be used: {error}.") from None


def retention_periods(settings: Settings) -> Periods:
    """How long what is kept, as it is set."""
    return Periods(
        window=timedelta(seconds=settings.recovery_window_seconds),
        print_days=settings.retention_print_days,
        content_days=settings.retention_content_days,
        ended_days=settings.retention_ended_days,
        mailbox_days=settings.retention_mailbox_days,
        lookup_days=settings.retention_lookup_days,
        webhook_days=settings.retention_webhook_days,
    )


def disk_places(settings: Settings) -> dict[str, Path]:
    """A place on each disk of this machine that matters, by a name."""
    places = {"home": settings.home, "print": settings.print_folder}
    store = urlsplit(settings.storage_url.get_secret_value())
    if store.scheme == "file":
        places["store"] = Path(unquote(store.path))
    return places


def begin_watching(application: Application, role: str) -> None:
    """Let a process give signs of life and, where the settings say so, traces, until its parts are closed."""
    settings, places = application.settings, disk_places(application.settings)
    # Those who seal say how the keys are that they see.
    sealers = None if role == "api" else application.sealers
    # The scheduler reads what comes back.
    returns = application.returns if role == "scheduler" else None
    beating = Beating(application.context, role, Machine(application.context, places, sealers, returns).report)
    application.closing.callback(beating.close)
    tracing.begin(settings.traces_url, role=role, share=settings.traces_share)
    application.closing.callback(tracing.end)


def _store(settings: Settings, database: Database, *, operating: bool) -> ObjectStore:
    url = settings.storage_url.get_secret_value()
    if operating and not is_there(url):
        # Opening it might make it, which is not for an operator's account to do.
        return AwayStore()
    keys = settings.storage_access_key, settings.storage_secret_key
    credentials = (
        None if keys[0] is None or keys[1] is None else (keys[0].get_secret_value(), keys[1].get_secret_value())
    )
    store = open_store(url, credentials=credentials)
    if is_for_one_machine(url) and database.is_used_from_elsewhere():
        raise SettingsRefused(
            "STORAGE_URL is a folder, and another machine works on the same database: what one of them stores, the "
            "other can't read. Use an object store, or say that both see the same folder with file:///…?shared=yes."
        )
    return store


def inspection_limits(settings: Settings) -> InspectionLimits:
    """What a document, and the child that reads it, may use here."""
    return InspectionLimits(
        size=settings.max_delivery_bytes,
        pages=settings.max_pages,
        address_space=settings.inspection_memory,
        processor=settings.inspection_seconds,
        wall=2.0 * settings.inspection_seconds,
        children=settings.inspection_children,
    )


def _envelopes(settings: Settings, index: IndexKeys) -> Envelopes | None:
    if settings.bounce_address is None:
        return None
    try:
        return Envelopes(settings.bounce_address, (index.writing, *index.others))
    except ValueError as error:
        raise SettingsRefused(f"ZENDING_BOUNCE_ADDRESS can't be used: {error}.") from None


def _returns(settings: Settings, envelopes: Envelopes | None) -> Returns | None:
    if settings.bounce_maildir is None or envelopes is None:
        return None
    return Returns(Maildir(settings.bounce_maildir), envelopes)


def _scanner(settings: Settings) -> MalwareScanner:
    if settings.scanner_url is None:
        return NoScanner()
    parts = urlsplit(settings.scanner_url)
    if parts.scheme == "unix":
        return ClamdScanner(Path(parts.path))
    if parts.scheme == "tcp" and parts.hostname and parts.port:
        return ClamdScanner((parts.hostname, parts.port))
    raise SettingsRefused("ZENDING_SCANNER_URL must be unix:///path/of/clamd.ctl or tcp://host:port.")


def _sealers(settings: Settings, tsa: TimeStampAuthority, revocation: RevocationSource) -> Sealers:
    folder = settings.keys_folder / SEALS
    return Sealers(
        folder,
        maker(
            tsa,
            revocation,
            folder,
            roots=load_certificates(settings.trust_anchor),
            check_address=f"{settings.base_url}/verify?code={{code}}",
        ),
        clock=lambda: datetime.now(UTC),
        margin=timedelta(days=settings.seal_stop_days),
        files_allowed=settings.mode is not Mode.PRODUCTION,
        refused_pins=RefusedPins(settings.home / REFUSED_PINS),
    )


def _refuse_file_keys(settings: Settings) -> None:
    if settings.mode is Mode.PRODUCTION and (found := in_files(settings.keys_folder / SEALS)):
        raise SettingsRefused(
            f"Seal keys lie in files: {', '.join(found)} (in {SEALS}/ of ZENDING_KEYS_FOLDER). Production seals with "
            "keys that can't be copied: write for each a profile with provider pkcs11 or csc (docs/signing.md, "
            "'zending keys seals check' tries it), and remove the files."
        )


def _identity(settings: Settings, closing: contextlib.ExitStack) -> OpenIdProvider:
    secret = settings.oidc_client_secret
    try:
        oidc = OidcSettings(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret="" if secret is None else secret.get_secret_value(),
            scopes=tuple(settings.oidc_scopes.split()),
            claims=ClaimNames(
                national_number=settings.oidc_national_number_claim, organisation=settings.oidc_organisation_claim
            ),
            exchange_audiences=frozenset(settings.oidc_exchange_audiences.split()),
        )
    except ValueError as error:
        raise SettingsRefused(f"The settings of the identity provider (ZENDING_OIDC_…): {error}.") from None
    # Where the provider's own documents lead is its choice: only what stands in settings may be inside our network.
    trusted = outgoing.hosts_of([settings.oidc_issuer]) | set(settings.outgoing_hosts.split())
    return OpenIdProvider(oidc, http=closing.enter_context(outgoing.http_client(trusted)))
