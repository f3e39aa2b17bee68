"""Runs the migrations as the owner, with bounds on locks and statements, one at a time however many machines start."""

import time

from alembic import context
from sqlalchemy import Connection, create_engine, text

from service.db.base import Base
from service.db.migrations import MIGRATION_LOCK, OPTIONS
from service.db.session import psycopg_url


def run() -> None:
    url = context.config.attributes["url"]
    engine = create_engine(psycopg_url(url), connect_args={"options": OPTIONS, "connect_timeout": 10})
    try:
        with engine.connect() as connection:
            take_turn(connection)
            context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
            with context.begin_transaction():
                context.run_migrations()
            # A process that starts looks whether the schema has what it needs.
            connection.execute(text("GRANT SELECT ON alembic_version TO zending_app"))
            connection.commit()
    finally:
        engine.dispose()


def take_turn(connection: Connection) -> None:
    # Asked for again and again, in transactions that end: a concurrent build waits for every statement that began
    # before it, one that waits for this lock included.
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}):
        connection.commit()
        time.sleep(0.2)
    connection.commit()


run()
