"""How much a document, and the child that reads it, may use."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """Bounds of one inspection; sizes are bytes, times are seconds.

    ``address_space`` is the child's whole address space, the interpreter and libraries in it (about 120 MiB)
    included. ``processor`` is what a document may take of a processor; ``wall`` is how long anybody waits for it: a
    document that comes no further in that time was held up by the machine. ``children`` bounds how many documents one
    inspector reads at once; ``wait`` is how long a request may wait for a place among them.

    What stands between bounds what comes after the inspection, outside the walls: ``objects`` are the document's own,
    ``sections`` the updates of its cross-references, ``fields`` those of its form, ``contents`` and ``annotations``
    those of all pages, and ``drawn_bytes`` is the content of all pages unpacked. What several pages share counts for
    each.
    """

    size: int = 30 * MIB
    pages: int = 300
    objects: int = 500_000
    sections: int = 5_000
    fields: int = 20_000
    contents: int = 100_000
    annotations: int = 20_000
    attachments: int = 100
    attachment_bytes: int = 64 * MIB
    stream_bytes: int = 256 * MIB
    unpacked_bytes: int = 2048 * MIB
    drawn_bytes: int = 256 * MIB
    image_pixels: int = 400_000_000
    address_space: int = 1024 * MIB
    processor: int = 20
    wall: float = 40.0
    children: int = 4
    wait: float = 30.0

    @property
    def answer_bytes(self) -> int:
        """The longest answer a child may give: its header, a repaired file, everything attached."""
        return HEADER_BYTES + 2 * self.size + self.attachment_bytes


HEADER_BYTES: Final = 64 * 1024
"""The longest header of an answer."""
