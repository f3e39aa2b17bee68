"""A look as a profile writes it down: the table ``[appearance]``."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from signing.appearance import Appearance, InCorner, InField, InRectangle, Place
from signing.appearance.placing import Look
from signing.appearance.room import Corner, look
from signing.appearance.words import Language

_Short = Annotated[str, Meta(min_length=1, max_length=300)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a profile may say of its look.

    Attributes:
        organisation: the name that is shown.
        language: of the words.
        corner: where there is room nearest to it.
        page: from 1, or from the end: -1 is the last.
        rectangle: left, bottom, right, top in points, instead of a corner.
        field: an empty signature field to use where a document has it.
        field_required: documents without that field are refused.
        logo: the name of a PNG file.
        check_address: where a code can be checked, with ``{code}`` in it.
        zone: of the time shown.
    """

    organisation: _Short
    language: Language
    corner: Corner = "bottom-right"
    page: int = -1
    rectangle: tuple[float, float, float, float] | None = None
    field: _Short | None = None
    field_required: bool = False
    logo: _Short | None = None
    check_address: _Short | None = None
    zone: _Short = "Europe/Brussels"

    @property
    def place(self) -> Place:
        """The rule that says where."""
        free = InRectangle(self.rectangle, self.page) if self.rectangle else InCorner(self.corner, self.page)
        return InField(self.field, None if self.field_required else free) if self.field else free

    def appearance(self, *, font: bytes, read: Callable[[str], bytes], look_at: Look = look) -> Appearance:
        """Make it.

        Args:
            font: a TrueType font whose licence allows embedding.
            read: gives the content of a file that is named here.
            look_at: looks at a page for room.

        Raises:
            ValueError: it can't be made; the text says why.
            OSError: from ``read``.
        """
        return Appearance(
            font=font,
            organisation=self.organisation,
            language=self.language,
            place=self.place,
            logo=read(self.logo) if self.logo else None,
            check_address=self.check_address,
            zone=_zone(self.zone),
            look_at=look_at,
        )


def parse(table: Mapping[str, Any]) -> Table:
    """The table as TOML gives it.

    Raises:
        ValueError: it can't be one; the text says what to change.
    """
    try:
        found = msgspec.convert(dict(table), Table)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if found.page == 0:
        raise ValueError("pages are counted from 1, or from the end with -1")
    if found.field_required and found.field is None:
        raise ValueError("field_required needs a field")
    if found.rectangle and not (found.rectangle[0] < found.rectangle[2] and found.rectangle[1] < found.rectangle[3]):
        raise ValueError("a rectangle is left, bottom, right, top")
    if found.check_address is not None and found.check_address.count("{code}") != 1:
        raise ValueError("check_address needs {code} in it, once")
    _zone(found.zone)
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError("zone is the name of a time zone, such as Europe/Brussels") from error
