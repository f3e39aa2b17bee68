"""What can be seen of a seal or a signature: one appearance per profile, made once and put into every document.

Nothing in it needs an output intent, transparency or an outside font, so that PDF/A files of all parts stay what they
are: greys and colours are calibrated, the panel is opaque white, and the logo is laid on it beforehand.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from string import ascii_uppercase
from typing import IO, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.form_tools import get_single_field_annot
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec

from signing.appearance import placing, structure
from signing.appearance.panel import Panel, QrCode, Said, Variant, draw
from signing.appearance.picture import Picture, colour_space, numbers
from signing.appearance.placing import InCorner, InField, InRectangle, Look, Place, Reason, Seat
from signing.appearance.room import look
from signing.appearance.typeface import Typeface
from signing.appearance.words import Act, Language, words

__all__ = ["Appearance", "Drawing", "Filling", "InCorner", "InField", "InRectangle", "Place", "Reason", "Shown"]

LATIN: Final = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x180), 0x218, 0x219, 0x21A, 0x21B, 0x2019)))
"""What names of people are written with in the official languages of the Union that use Latin letters."""

_SCHEME: Final = re.compile(r"^https?://(www\.)?")


@dataclass(frozen=True, slots=True)
class Filling:
    """What differs from document to document.

    Attributes:
        at: the time shown (aware): that of the signature dictionary.
        code: verification code, shown and in the QR code; None for neither.
        name: who signs; None for the organisation.
    """

    at: datetime
    code: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it.

    Attributes:
        page: page number from 1; None when it can't be seen.
        box: left, bottom, right, top in the page's own coordinates.
        variant: the drawing that had room.
        reason: why it can't be seen.
    """

    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    variant: Variant | None = None
    reason: Reason | None = None


class Appearance:
    """The look of one profile's seals, or of people's signatures. Made once; safe to share between threads."""

    def __init__(
        self,
        *,
        font: bytes,
        organisation: str,
        language: Language,
        place: Place | None = None,
        logo: bytes | None = None,
        check_address: str | None = None,
        zone: tzinfo = UTC,
        act: Act = "sealed",
        characters: str = "",
        look_at: Look = look,
    ) -> None:
        """Prepare.

        Args:
            font: a TrueType font whose licence allows embedding.
            organisation: the name that is shown.
            language: of the words.
            place: where it goes; None: bottom right of the last page.
            logo: a PNG.
            check_address: where a code can be checked, with ``{code}`` in it; None: no QR code.
            zone: of the time shown.
            act: whether this is a seal or a signature.
            characters: what further names and codes may need, beyond capitals, figures and the fixed words. ``LATIN``
                for people's names. Each character makes every document a little larger.
            look_at: looks at a page for room.

        Raises:
            ValueError: font, logo or address can't be used; the font lacks a letter of the fixed words.
        """
        if check_address is not None and check_address.count("{code}") != 1:
            raise ValueError("The address for checks must have {code} in it, once.")
        self._words = words(language)
        self._language, self._act, self._zone = language, act, zone
        self._address, self._place, self._look = check_address, place or InCorner(), look_at
        self._check = self._words.check.format(address=_short(check_address)) if check_address else None
        fixed = [*self._words.characters(), *organisation, *(self._check or ""), *ascii_uppercase, "…", "?", "_"]
        self._face = Typeface.subset(font, [*fixed, *characters])
        missing = {each for each in fixed if not each.isspace()} - self._face.codes.keys()
        if missing:
            raise ValueError(f"The font lacks {' '.join(sorted(missing))}")
        self._organisation = self._face.printable(organisation)
        self._logo = Picture.from_png(logo) if logo is not None else None

    def begin(
        self,
        writer: IncrementalPdfFileWriter,
        stream: IO[bytes],
        filling: Filling,
        *,
        signed: bool,
        field: str | None = None,
    ) -> "Drawing":
        """Find the place in a document.

        Args:
            writer: the document, nothing of this update written yet.
            stream: the same; is read from and left where it stood.
            filling: what to show.
            signed: whether the document bears a signature.
            field: the field to use instead of the profile's place; where it isn't, that place is.

        Raises:
            FieldUnusable: the profile's field isn't there or can't be used.
        """
        said = self._said(filling)

        @cache
        def panels(variant: Variant) -> Panel:
            return draw(variant, said, self._face, self._logo)

        place = self._place
        if field is not None:
            place = InField(field, place.otherwise if isinstance(place, InField) else place)
        stood = stream.tell()
        try:
            seat = placing.find(place, writer, stream, panels, signed=signed, look_at=self._look)
        finally:
            stream.seek(stood)
        return Drawing(self, writer, seat, self._described(said, filling), signed)

    def _said(self, filling: Filling) -> Said:
        code, printable = filling.code, self._face.printable
        return Said(
            act=self._words.act(self._act),
            name=self._organisation if filling.name is None else printable(filling.name),
            time=self._words.moment(filling.at.astimezone(self._zone)),
            code=printable(self._words.code.format(code=code)) if code else None,
            check=self._check if code else None,
            qr=QrCode.of(self._address.format(code=code)) if self._address and code else None,
        )

    def _described(self, said: Said, filling: Filling) -> str:
        """All that the panel shows, as text for those who don't see it."""
        name = filling.name or self._organisation
        parts = [self._words.described.format(act=said.act, name=name, time=said.time)]
        parts += [f"{part}." for part in (said.code, said.check) if part]
        return " ".join(parts)

    def kept_for(self, name: str) -> str:
        """What is said of an empty field that was kept for somebody."""
        return self._words.kept.format(name=name)

    def put(self, writer: IncrementalPdfFileWriter, panel: Panel, turn: tuple[int, ...]) -> generic.IndirectObject:
        """Write the panel and all it needs into an update; returns the form to be shown."""
        space = writer.add_object(colour_space())
        resources = {
            pdf_name("/ColorSpace"): generic.DictionaryObject({pdf_name("/C"): space}),
            pdf_name("/Font"): generic.DictionaryObject({pdf_name("/F"): self._face.add_to(writer)}),
        }
        if self._logo is not None:
            logo = generic.DictionaryObject({pdf_name("/L"): self._logo.add_to(writer, space)})
            resources[pdf_name("/XObject")] = logo
        form = {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): numbers(0, 0, round(panel.width, 2), panel.height),
            pdf_name("/Matrix"): numbers(*turn),
            pdf_name("/Resources"): generic.DictionaryObject(resources),
            pdf_name("/Filter"): pdf_name("/FlateDecode"),
        }
        return writer.add_object(generic.StreamObject(form, encoded_data=panel.content))

    @property
    def language(self) -> Language:
        """The language of the words."""
        return self._language


@dataclass(frozen=True, slots=True)
class Drawing:
    """An appearance on its way into one document; ``signed``: which bears a signature already."""

    appearance: Appearance
    writer: IncrementalPdfFileWriter
    seat: Seat
    description: str
    signed: bool

    @property
    def field(self) -> str | None:
        """The document's own field to use, if any."""
        return self.seat.field

    @property
    def shown(self) -> Shown:
        """What will be seen."""
        seat = self.seat
        return Shown(seat.page + 1, seat.box, seat.variant) if seat.box else Shown(reason=seat.reason)

    def spec(self, name: str) -> SigFieldSpec:
        """The field to be made."""
        return SigFieldSpec(
            name,
            on_page=self.seat.page,
            box=self.seat.box,  # type: ignore[arg-type] # pyHanko writes fractions as well
            readable_field_name=self.description,
        )

    def put(self, field: generic.IndirectObject) -> None:
        """Draw on the field, which is in the update now."""
        seat, writer = self.seat, self.writer
        if seat.box is None or seat.panel is None or seat.view is None:
            return
        annotation = get_single_field_annot(field.get_object())
        form = self.appearance.put(writer, seat.panel, seat.view.matrix)
        annotation[pdf_name("/AP")] = generic.DictionaryObject({pdf_name("/N"): form})
        if seat.field is None:
            page = writer.find_page_for_modification(seat.page)[0]
            structure.tag(writer, field, page, description=self.description, language=self.appearance.language)
            return
        if "/TU" not in field.get_object() and not self.signed:
            # In a signed document a field may get its value and its look, and nothing else.
            field.get_object()[pdf_name("/TU")] = generic.pdf_string(self.description)
        writer.update_container(annotation)


def _short(address: str) -> str:
    """An address as people read it: without the scheme and without what stands for the code."""
    return _SCHEME.sub("", re.split(r"[?#]?[^/?#]*\{code\}", address)[0]).rstrip("/")
