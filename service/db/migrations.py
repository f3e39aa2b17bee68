"""Bringing a database to the schema of this release."""

from pathlib import Path

from alembic import command
from alembic.config import Config

_SCRIPTS = Path(__file__).parents[2] / "alembic"


def migrate(owner_url: str) -> None:
    """Run all migrations that the database does not have yet, as its owner; safe to repeat and to run twice at once."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = owner_url
    command.upgrade(config, "head")
