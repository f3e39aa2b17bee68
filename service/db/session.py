"""Connections and transactions: each says whose rows it may see, and row-level security holds it to that."""

import socket
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

APPLICATION_ROLE = "zending_app"
CONNECT_SECONDS = 5
APPLICATION_NAME = "zending"
"""What connections are called in the server's list of them, followed by ``@`` and the machine's name."""
_ELSEWHERE = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE :name"
    " AND client_addr IS DISTINCT FROM inet_client_addr())"
)
_ORGANISATION_SCOPE = text("SELECT set_config('zending.organisations', :organisations, true)")
_RECIPIENT_SCOPE = text("SELECT set_config('zending.recipients', :recipients, true)")
_DELIVERY_SCOPE = text("SELECT set_config('zending.delivery', :delivery, true)")
# A statement that waits longer than this for a lock, or runs longer, is a fault; the job or request is tried again.
# A machine that vanished says no good-bye: after half a minute of silence the server ends its session, and so lets go
# of the rows it had locked, instead of waiting for minutes.
_OPTIONS = (
    "-c lock_timeout=15s -c statement_timeout=60s -c idle_in_transaction_session_timeout=120s -c timezone=UTC"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4 -c tcp_user_timeout=30000"
)
# The same from this side: a server that can't be reached any more is given up after half a minute.
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


def psycopg_url(url: str) -> str:
    """The same database by the driver this service uses; ``postgres://`` and ``postgresql://`` are accepted."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class Database:
    """The application's way to the database.

    Connections always work as the application role, even when the URL logs in as somebody with more rights: no
    superuser, no owner, held by row-level security.
    """

    def __init__(self, url: str, *, pool_size: int = 10, connect_seconds: int = CONNECT_SECONDS) -> None:
        self.engine: Engine = create_engine(
            psycopg_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_recycle=1800,
            # The one used last is used next: a few connections then hold all statements prepared and their plans warm,
            # instead of every one of the pool, in turns, its own.
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={
                "options": _OPTIONS,
                "connect_timeout": connect_seconds,
                "application_name": f"{APPLICATION_NAME}@{socket.gethostname()}",
                **_SILENCE,
            },
        )
        event.listen(self.engine, "connect", _become_application)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @contextmanager
    def transaction(
        self,
        *,
        organisations: Collection[uuid.UUID] = (),
        recipients: Collection[bytes] = (),
        delivery: uuid.UUID | None = None,
    ) -> Iterator[Session]:
        """One transaction that sees the rows of these organisations, of these recipients' mailboxes, of this delivery.

        Commits when the block ends, rolls back when it raises. Nothing is seen of tables with tenants when no scope is
        given.
        """
        with self._begun(_scope(organisations, recipients, delivery)) as session:
            yield session
            session.commit()

    def session(self) -> Session:
        """A session whose caller commits, over tables without tenants (the ledger's)."""
        return self._begun("")

    def _begun(self, scope: str) -> Session:
        """A session whose transaction has begun, with its scope in the same message.

        That message is also how a kept connection shows that it still lives: nothing was asked of the server before,
        so it can be sent again over a new one. Asking apart, at each use, would cost every transaction a round trip.
        """
        try:
            return self._opened(scope)
        except OperationalError as error:
            if not error.connection_invalidated:
                raise
            # Where one kept connection died, the others did too: a server that restarted.
            self.engine.dispose()
            return self._opened(scope)

    def _opened(self, scope: str) -> Session:
        session = self._sessions()
        try:
            connection = session.connection().connection.driver_connection
            assert isinstance(connection, psycopg.Connection)
            _begin(connection.pgconn, scope)
        except psycopg.OperationalError as error:
            session.invalidate()
            session.close()
            raise OperationalError("BEGIN", None, error, hide_parameters=True, connection_invalidated=True) from error
        except BaseException:
            session.close()
            raise
        return session

    def is_used_from_elsewhere(self) -> bool:
        """Whether the service is connected from another machine too; False while the server can't be asked."""
        try:
            with self.engine.connect() as connection:
                return bool(connection.scalar(_ELSEWHERE, {"name": f"{APPLICATION_NAME}@%"}))
        except OperationalError:
            return False

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _scope(organisations: Collection[uuid.UUID], recipients: Collection[bytes], delivery: uuid.UUID | None) -> str:
    """Statements that set what a transaction sees; of hexadecimal digits and commas only, whatever was given."""
    values = {
        "organisations": ",".join(each.hex for each in organisations),
        "recipients": ",".join(each.hex() for each in recipients),
        "delivery": "" if delivery is None else delivery.hex,
    }
    return "".join(f"; SET LOCAL zending.{name} = '{value}'" for name, value in values.items() if value)


def _begin(connection: PGconn, scope: str) -> None:
    """Begin a transaction, below the driver, which would send this and the scope one after the other.

    Raises:
        psycopg.OperationalError: the connection is dead; nothing was begun.
    """
    result = connection.exec_(f"BEGIN{scope}".encode("ascii"))
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.OperationalError("The transaction could not be begun.")


def enter_delivery(session: Session, delivery: uuid.UUID) -> None:
    """Let the running transaction see one delivery's rows too: for a recipient whose mailbox holds it."""
    session.execute(_DELIVERY_SCOPE, {"delivery": str(delivery)})


def enter_mailbox(session: Session, recipients: Collection[bytes]) -> None:
    """Let the running transaction see this recipient's rows instead: for who was found to have their mandate."""
    session.execute(_RECIPIENT_SCOPE, {"recipients": ",".join(each.hex() for each in recipients)})


def widen(session: Session, organisations: Collection[uuid.UUID]) -> None:
    """Let the running transaction see these organisations' rows instead: for a print batch, which mixes senders."""
    session.execute(_ORGANISATION_SCOPE, {"organisations": ",".join(str(each) for each in organisations)})


def _become_application(connection: psycopg.Connection[Any], _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        row = cursor.fetchone()
        if row is None or row[0] != APPLICATION_ROLE:
            cursor.execute(f"SET ROLE {APPLICATION_ROLE}")
    connection.commit()
