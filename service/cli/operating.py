"""What commands of operators share: the running service, who acts, and where answers go."""

import logging
import os
import pwd
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import structlog
from rich.console import Console

from service.identity.scopes import Scope

if TYPE_CHECKING:
    from service.bootstrap import Application
    from service.identity.tokens import AccessToken

TOKEN = "ZENDING_OPERATOR_TOKEN"  # noqa: S105  the name of a variable


def quietly() -> None:
    """Keep the log of the parts that are looked at out of what is answered: that is for people and programs to read."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def running() -> "Iterator[Application]":
    """The wired service, for as long as the block runs."""
    from sqlalchemy.exc import OperationalError

    from service.bootstrap import build
    from service.settings import settings

    application = build(settings(), operating=True)
    try:
        yield application
    except OperationalError:
        raise click.ClickException(
            "the database can't be reached; zending ops status says what else is down."
        ) from None
    finally:
        application.close()


def console() -> Console:
    """Where tables go: as wide as the terminal, or as wide as programs can use."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def actor_of(application: "Application", scope: Scope = Scope.OPERATIONS_WRITE) -> str:
    """Who acts: the person of the token, or this machine's account, which proves nothing and is marked ``os:``."""
    if os.environ.get(TOKEN):
        return person_of(application, scope)
    account = f"os:{pwd.getpwuid(os.geteuid()).pw_name}:{socket.gethostname()}"
    return re.sub(r"[^A-Za-z0-9:._-]", "_", account)[:128]


def person_of(application: "Application", scope: Scope = Scope.OPERATIONS_WRITE) -> str:
    """The person whose token was given; errors as of ``token_of``."""
    from service.usecases import access

    return access.actor_of(application.context, token_of(application, scope))


def token_of(application: "Application", scope: Scope = Scope.OPERATIONS_WRITE) -> "AccessToken":
    """The token that was given.

    Raises:
        click.ClickException: there is none.
        Unauthenticated, Forbidden: it is not believed, or not an operator's.
    """
    from service.usecases import access, quotas
    from service.usecases.personal import PLATFORM

    text = os.environ.get(TOKEN, "").strip()
    if not text:
        raise click.ClickException(f"set {TOKEN} to your access token: this takes a person who has logged in.")
    token = application.verifier.verify(text, application.context.clock())
    token.require(scope)
    access.operator_of(token)
    person = token.client_id == access.EXCHANGE_CLIENT
    standing = quotas.standing(
        application.context, PLATFORM, client_id=None if person else token.client_id, subject=token.subject
    )
    if not standing.active:
        raise click.ClickException("this access token was withdrawn.")
    return token
