"""Kombu's transport for Redis and Valkey, with one thing mended: a broker that dies while a worker is busy.

A message that was worked off is acknowledged. Where the broker is away at that moment, kombu (5.7) says so and still
counts the message among those that the worker holds. A worker that holds as many as it may asks for no more, so it
never finds out that its line is dead: it waits for ever, and looks alive. Here the message is let go of all the same.
The broker still has it and gives it to somebody else after its visibility timeout: one wake-up too many.
"""

from typing import Final

from kombu.transport import TRANSPORT_ALIASES, redis, virtual

_PLACE: Final = f"{__name__}:Transport"


class QoS(redis.QoS):
    """What a worker holds."""

    def ack(self, delivery_tag: str) -> None:
        """Tell the broker that a message was worked off, and hold it no more, whether or not the broker heard.

        Raises:
            redis.exceptions.ConnectionError: the broker is away.
        """
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  kombu names it so
        """Give a message back, or throw it away; otherwise as `ack`."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    """A line's channel."""

    QoS = QoS


class Transport(redis.Transport):
    """The transport."""

    Channel = Channel


def install() -> None:
    """Use it for every connection of this process to ``redis://`` and ``rediss://``."""
    TRANSPORT_ALIASES.update(redis=_PLACE, rediss=_PLACE)
