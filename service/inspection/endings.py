"""What a helper says of itself and of its children, whatever they do with their documents."""

import msgspec


class Ending(msgspec.Struct, frozen=True):
    """How a child ended, told by the helper: its exit status, or minus the signal that killed it.

    ``timed_out``: the helper ended it, for the time on the wall.
    """

    exit: int
    timed_out: bool


class Ready(msgspec.Struct, frozen=True):
    """The helper's first word: a child behind the walls has read a document, and which further walls there are."""

    walls_hold: bool
    no_network: bool
    unprivileged: bool
