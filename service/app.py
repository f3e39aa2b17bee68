"""The ASGI application: both doors, in the frame that every answer gets.

Served with ``granian --interface asgi --factory service.app:create_app``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State

from service import logs, memory
from service.api import openapi, readiness, submission_streams
from service.api.documentation import documentation_handlers
from service.api.readiness import Probe, Readiness
from service.api.routes import api_handlers
from service.api.uploads import UploadLimits, UploadMemory
from service.bootstrap import Application, begin_watching, build
from service.inspection.scanners.clamd import ClamdScanner
from service.portal.routes import pages_for_people, portal_handlers
from service.printers.wired import Printer, Printers
from service.settings import Settings
from service.settings import settings as read_once
from service.web import limits
from service.web.overload import Overload
from service.web.problems import answer
from service.web.requests import RequestFrame

BODY_BYTES: Final = 64 * 1024
"""The longest body of a call that does not say otherwise."""
SUBMISSIONS_AT_ONCE: Final = 8
"""How many files of submissions a process takes in at the same time, half of them of one organisation."""
UPLOADS_AT_ONCE: Final = 8
"""How many of the largest uploads a process holds in memory at the same time; of small ones as many more as fit."""

UPLOADS_OF_ONE: Final = 5
"""How many of these one organisation may have, so that there is always room for another's."""


def create_app(settings: Settings | None = None) -> RequestFrame:
    """Wire and make the application of one process; without ``settings`` those of the environment are read."""
    chosen = settings or read_once()
    # The server starts its workers as fresh processes, which know nothing of how the command set up the log.
    logs.configure(style=chosen.log_format)
    memory.give_back_large_blocks()
    application = build(chosen, hands_in=True)
    begin_watching(application, "api")
    app = framed(application, make_litestar(application))
    memory.settle()
    return app


def framed(application: Application, app: Litestar) -> RequestFrame:
    """The application as the server runs it: in the frame that every answer gets, and within its bounds."""
    settings = application.settings
    return RequestFrame(Overload(app, most=settings.requests_at_once), https=settings.secure_cookies)


def make_litestar(application: Application) -> Litestar:
    """The application without its frame, around parts that are wired already; it closes them when it ends."""
    upload = UploadLimits(application.settings.max_delivery_bytes, application.settings.max_documents)
    trusted = application.settings.trusted_proxies
    contract = openapi.document()
    return Litestar(
        route_handlers=[
            Router(
                path="/",
                route_handlers=[*api_handlers(), *documentation_handlers(contract)],
                exception_handlers={Exception: answer},
            ),
            *portal_handlers(application),
        ],
        exception_handlers={Exception: pages_for_people(application, answer)},
        request_max_body_size=BODY_BYTES,
        lifespan=[_parts(application)],
        state=State(
            {
                "application": application,
                "upload_limits": upload,
                "upload_memory": UploadMemory(
                    UPLOADS_AT_ONCE * upload.body_bytes, most_each=UPLOADS_OF_ONE * upload.body_bytes
                ),
                "limiting": limits.limiting(application.context, _limits_url(application.settings), trusted),
                "submission_memory": UploadMemory(
                    SUBMISSIONS_AT_ONCE * submission_streams.MEMORY,
                    most_each=SUBMISSIONS_AT_ONCE * submission_streams.MEMORY // 2,
                ),
                "readiness": Readiness(probes(application)),
            }
        ),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _limits_url(settings: Settings) -> str:
    own = settings.limits_url or settings.broker_url
    return own.get_secret_value()


def probes(application: Application) -> dict[str, Probe]:
    """The parts that readiness names.

    Needed is what a hand-in can't do without. What only later steps need is not: they wait for it, and so does the
    broker, which only shortens waiting.
    """
    settings, scanner = application.settings, application.scanner
    mail = settings.smtp_url.get_secret_value()
    return {
        "database": Probe(readiness.database(application.context.database), needed=True),
        "store": Probe(readiness.store(application.store), needed=True),
        "scanner": Probe(scanner.ready if isinstance(scanner, ClamdScanner) else _not_set, needed=True),
        "broker": Probe(readiness.broker(settings.broker_url.get_secret_value()), needed=False),
        "time-stamp authority": Probe(readiness.any_listener(settings.tsa_url.split()), needed=False),
        "identity provider": Probe(readiness.listener(settings.oidc_issuer), needed=False),
        "mail server": Probe(readiness.listener(mail), needed=False),
        **{
            name: Probe(readiness.print_house(printer.provider), needed=False)
            for name, printer in _named(application.context.printers).items()
        },
    }


def _named(printers: Printers) -> dict[str, Printer]:
    """Print houses as readiness tells of them: by their names where there is more than one."""
    if len(printers) == 1:
        return {"print house": printers.first}
    return {f"print house {name}": printer for name, printer in printers.items()}


def _not_set() -> None:
    """Nobody set this part, and nothing waits for it."""


def _parts(application: Application) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(app: Litestar) -> AsyncIterator[None]:
        # The pool bounds how many use cases run at once, and so how many database connections they can hold.
        threads = ThreadPoolExecutor(application.settings.api_threads, thread_name_prefix="use-case")
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            yield
        finally:
            await app.state.limiting.buckets.close()
            threads.shutdown()
            application.close()

    return run
