"""Runs the migrations as the owner, with bounds on locks and statements, one at a time however many machines start."""

from alembic import context
from sqlalchemy import create_engine, text

from service.db.base import Base
from service.db.session import psycopg_url

MIGRATION_LOCK = 2053467748
OPTIONS = "-c lock_timeout=10s -c statement_timeout=300s -c timezone=UTC"


def run() -> None:
    url = context.config.attributes["url"]
    engine = create_engine(psycopg_url(url), connect_args={"options": OPTIONS, "connect_timeout": 10})
    try:
        with engine.connect() as connection:
            # Whoever comes second waits for the first one's migrations, longer than for a lock on a table.
            connection.execute(text("SET lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.execute(text("RESET lock_timeout"))
            connection.commit()
            context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
            with context.begin_transaction():
                context.run_migrations()
            # A process that starts looks whether the schema has what it needs.
            connection.execute(text("GRANT SELECT ON alembic_version TO zending_app"))
            connection.commit()
    finally:
        engine.dispose()


run()
