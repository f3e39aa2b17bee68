"""Logs: one event name and ids a line; never a name, a number, an address, a subject or a file name."""

import logging
import sys

import structlog

# These libraries tell more than ids when they are asked to talk: only their faults are let through.
_QUIET = (
    "pyhanko",
    "pyhanko_certvalidator",
    "httpx",
    "httpcore",
    "sqlalchemy",
    "kombu",
    "amqp",
    "fontTools",
    "pikepdf",
)


def configure(*, style: str = "json") -> None:
    """Set up the process's logs: JSON lines for machines, or ``console`` for people, on standard error."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    # One line per wake-up would bury what matters: a chunk of work tells more.
    logging.getLogger("celery").setLevel(logging.WARNING)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
