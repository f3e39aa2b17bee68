"""Who may see a page and send a form; every route of the portal has one of these, as a test sees to.

All raise errors of the service's family; ``service.portal.errors`` makes pages of them.
"""

from typing import Any, Final, cast

from litestar import Request
from litestar.handlers.base import BaseRouteHandler

from service.domain.errors import Forbidden, Unauthenticated
from service.portal import forms
from service.portal.visitors import FORM_LIMIT, Visitor
from service.web import csrf, limits
from service.web.guards import Access, Connection


class FormStale(Forbidden):
    """A form that does not come from a page of this session."""

    code = "form_stale"


class OrganisationNotChosen(Forbidden):
    """Somebody who acts for several organisations has not said for which."""

    code = "organisation_not_chosen"


class SignedIn(Access):
    """Whoever is logged in."""

    name = "signed in"

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler, /) -> None:
        """Pass a person who is logged in.

        Raises:
            Unauthenticated: nobody is, or not any more.
        """
        if visitor(connection).session is None:
            raise Unauthenticated("Log in to see this page.")


class Clerk(SignedIn):
    """Whoever may send for an organisation, and has said for which."""

    name = "clerk"

    async def __call__(self, connection: Connection, handler: BaseRouteHandler, /) -> None:
        """Pass a clerk.

        Raises:
            Unauthenticated: nobody is logged in.
            Forbidden: the person may send for no organisation.
            OrganisationNotChosen: for several.
        """
        await super().__call__(connection, handler)
        who = visitor(connection)
        if not who.seats:
            raise Forbidden("This page is for the staff of organisations that send.")
        if who.seat is None:
            raise OrganisationNotChosen("Choose the organisation you act for.")


class Recipient(SignedIn):
    """Whoever has a mailbox to read."""

    name = "recipient"

    async def __call__(self, connection: Connection, handler: BaseRouteHandler, /) -> None:
        """Pass a recipient.

        Raises:
            Unauthenticated: nobody is logged in.
            Forbidden: the log-in says nothing by which mail could be addressed to the person.
        """
        await super().__call__(connection, handler)
        if visitor(connection).reader is None:
            raise Forbidden("This page is for people who receive mail here.")


class Operator(SignedIn):
    """Whoever looks after the service itself."""

    name = "operator"

    async def __call__(self, connection: Connection, handler: BaseRouteHandler, /) -> None:
        """Pass an operator of the platform.

        Raises:
            Unauthenticated: nobody is logged in.
            Forbidden: the person looks after nothing here.
        """
        await super().__call__(connection, handler)
        if not visitor(connection).operates:
            raise Forbidden("This page is for those who look after the service.")


async def genuine(connection: Connection, handler: BaseRouteHandler) -> None:
    """Read the form and make sure that it comes from a page of ours, of this session.

    The form is kept in ``request.state.form``.

    Raises:
        FormStale: it does not.
        PayloadTooLarge, MediaTypeUnsupported, RequestMalformed: as of ``forms.read``.
    """
    request = cast("Request[Any, Any, Any]", connection)
    base_url = connection.app.state.application.settings.base_url
    if not csrf.comes_from_us(request.headers, base_url):
        raise FormStale("This form was not sent from a page of this service.")
    form = await forms.read(request, limit=handler.opt.get(FORM_LIMIT, forms.SMALL))
    session = visitor(connection).session
    if session is not None and not csrf.proves(session.data.csrf_secret, form.text(csrf.FIELD)):
        raise FormStale("This form belongs to an earlier session.")
    request.state.form = form


async def few_codes(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Not too many activation codes sent to, or tried for, one mailbox.

    Raises:
        TooManyRequests: too many.
    """
    reader = visitor(connection).reader
    await limits.require(connection, limits.ACTIVATION, "" if reader is None else reader.recipient_hash.hex())


async def few_reminders(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Not too many reminders of one signature request.

    Raises:
        TooManyRequests: too many.
    """
    seat = visitor(connection).seat
    organisation = "" if seat is None else seat.organisation_id
    await limits.require(connection, limits.REMINDER, f"{organisation}/{connection.path_params['request_id']}")


def visitor(connection: Connection) -> Visitor:
    """Who asks."""
    return cast("Visitor", connection.scope["user"])


SIGNED_IN: Final = SignedIn()
CLERK: Final = Clerk()
OPERATOR: Final = Operator()
RECIPIENT: Final = Recipient()
