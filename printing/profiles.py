"""What a print house and the post ask of a letter, as data: the profiles that come with us, and others."""

import itertools
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

MM: Final = 72 / 25.4
"""Points in a millimetre."""

_FOLDER: Final = Path(__file__).with_name("profiles")

Length = Annotated[float, Meta(ge=0, le=2000)]
Many = Annotated[int, Meta(ge=1)]
Grams = Annotated[int, Meta(ge=1, le=30_000)]
Severity = Literal["error", "warning", "off"]


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle in mm from the top-left corner of the sheet."""

    left: Length
    top: Length
    right: Length
    bottom: Length

    @property
    def width(self) -> float:
        """Width in mm."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in mm."""
        return self.bottom - self.top

    def within(self, other: "Box") -> bool:
        """Whether nothing of it lies outside of the other."""
        return (
            other.left <= self.left
            and other.top <= self.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )

    def meets(self, other: "Box") -> bool:
        """Whether they have an area in common; touching edges are none."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that has all of them inside."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


class PageSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sheet in mm, and how far a page may differ and still count as that size."""

    width: Annotated[float, Meta(gt=0, le=2000)]
    height: Annotated[float, Meta(gt=0, le=2000)]
    tolerance: Annotated[float, Meta(ge=0, le=10)]


class AddressStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the address block is set: sizes in points by preference, ``narrowest`` as a share of the normal width."""

    least_lines: Many
    most_lines: Many
    most_characters: Many
    sizes: Annotated[tuple[Annotated[float, Meta(gt=0, le=72)], ...], Meta(min_length=1)]
    narrowest: Annotated[float, Meta(gt=0, le=1)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of envelope; its weight in grams is that of the empty envelope."""

    name: Annotated[str, Meta(min_length=1, max_length=20)]
    most_sheets: Many
    grams: Grams


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weight of one sheet in grams."""

    grams: Grams


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Largest letter in bytes; most letters and bytes in one batch file."""

    letter_bytes: Many
    batch_letters: Many
    batch_bytes: Many


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strictly pages are looked at.

    Attributes:
        tolerance: mm that ink may lie beyond the printable box and be let through.
        darkest: grey that still counts as paper, 0 (black) to 255 (white); what is darker is ink.
        ink_outside: what ink beyond that is (`INK_OUTSIDE`); a print house that prints to the edge may take it.
        reduce: pages behind the address with ink outside are made smaller until it is within (`PAGE_REDUCED`), instead.
        font_type3: what fonts drawn by instructions of their own are (`FONT_TYPE3`).
        transparency: what transparent parts are (`TRANSPARENCY`).
        not_cmyk: what colours of screens are (`NOT_CMYK`).
        address_style: what an address is that the document shows in another size than the profile's, not in a plain
            face without serifs, or not at one left edge (`ADDR_STYLE`).
    """

    tolerance: Annotated[float, Meta(ge=0, le=10)] = 1
    darkest: Annotated[int, Meta(ge=1, le=255)] = 250
    ink_outside: Severity = "error"
    reduce: bool = True
    font_type3: Severity = "warning"
    transparency: Severity = "warning"
    not_cmyk: Severity = "off"
    address_style: Severity = "warning"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The postage of a letter of at most so many grams, in cents."""

    grams: Grams
    cents: Annotated[int, Meta(ge=0)]


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the postage of a product is, in rising steps of weight."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost table; ``note`` says whose figures they are."""

    note: Annotated[str, Meta(min_length=1)]
    products: Annotated[tuple[Product, ...], Meta(min_length=1)]


class BarcodeStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bars in the window, in mm: a module's width, their height, what is kept free beside, above and below them.

    ``mark`` is what says on the front that a letter is registered.
    """

    module: Annotated[float, Meta(ge=0.1, le=1)] = 0.25
    height: Annotated[float, Meta(ge=4, le=30)] = 6
    quiet: Annotated[float, Meta(ge=0, le=20)] = 5
    clear: Annotated[float, Meta(ge=0, le=20)] = 2
    mark: Annotated[str, Meta(min_length=1, max_length=10)] = "RP"


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a print house and the post ask of a letter.

    Attributes:
        printable: nothing is printed outside of it.
        window: where the address stands on the first page: inside the window however the sheet shifts.
        window_reach: what some shift may bring into the window; only the address stands there.
        code_zone: kept free on every front.
        franking_zone: where the post franks the envelope, as it lies over the first page; no window may be there.
        mail_id_zone: where the post's own code of a letter stands, inside the window; None where there is none.
        barcode: how bars in the window are drawn.
        envelopes: in rising order of what they hold.
        costs: None where postage is not known beforehand.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    page: PageSize
    printable: Box
    window: Box
    window_reach: Box
    code_zone: Box
    address: AddressStyle
    envelopes: Annotated[tuple[Envelope, ...], Meta(min_length=1)]
    paper: Paper
    limits: Limits
    franking_zone: Box | None = None
    mail_id_zone: Box | None = None
    barcode: BarcodeStyle = BarcodeStyle()
    rules: Rules = Rules()
    costs: Costs | None = None

    def envelope_for(self, sheets: int) -> Envelope | None:
        """The smallest envelope that holds so many sheets, or None."""
        return next((envelope for envelope in self.envelopes if sheets <= envelope.most_sheets), None)

    def grams(self, sheets: int) -> int:
        """The weight of a letter with its envelope (the largest one where none holds it)."""
        envelope = self.envelope_for(sheets) or self.envelopes[-1]
        return sheets * self.paper.grams + envelope.grams

    def postage(self, product: str, grams: int) -> int | None:
        """Postage in cents, or None where the table has no such product or weight."""
        found = [each.steps for each in (self.costs.products if self.costs else ()) if each.name == product]
        return next((step.cents for steps in found for step in steps if grams <= step.grams), None)


class ProfileRefused(ValueError):
    """A profile can't be used; the text says which key is wrong, and how.

    Attributes:
        faults: each as key and sentence.
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        """Hold at least one fault."""
        super().__init__("; ".join(f"{key}: {what}" for key, what in faults))
        self.faults = faults


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<key>[^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>.*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.*)`")


def parse(text: str) -> Profile:
    """Read a profile from TOML.

    Raises:
        ProfileRefused: the text is no TOML, or a value is missing, unknown, of the wrong kind, or contradicts another.
    """
    try:
        profile: Profile = msgspec.convert(tomllib.loads(text), Profile)
    except tomllib.TOMLDecodeError as error:
        raise ProfileRefused(("profile", f"no TOML: {error}")) from error
    except msgspec.ValidationError as error:
        raise ProfileRefused(_fault(str(error))) from error
    faults = [*_wrong_boxes(profile), *_wrong_places(profile), *_wrong_orders(profile)]
    if faults:
        raise ProfileRefused(*faults)
    return profile


def _fault(said: str) -> tuple[str, str]:
    found = _AT.match(said)
    assert found is not None, "the expression takes any text"
    what, key = found["what"], found["key"] or ""
    for form, sentence in ((_UNKNOWN, "there is no such key"), (_MISSING, "is missing")):
        if field := form.match(what):
            return (f"{key}.{field['field']}".lstrip("."), sentence)
    return key or "profile", what[:1].lower() + what[1:]


def _wrong_boxes(profile: Profile) -> list[tuple[str, str]]:
    sheet = Box(0, 0, profile.page.width, profile.page.height)
    faults = []
    for key in ("printable", "window", "window_reach", "code_zone", "franking_zone", "mail_id_zone"):
        box = getattr(profile, key)
        if box is None:
            continue
        if box.left >= box.right or box.top >= box.bottom:
            faults.append((key, "right must be greater than left, and bottom than top"))
        elif not box.within(sheet):
            faults.append((key, f"lies outside of the page of {sheet.right:g} × {sheet.bottom:g} mm"))
    return faults


def _wrong_places(profile: Profile) -> list[tuple[str, str]]:
    franking, mail_id = profile.franking_zone, profile.mail_id_zone
    wrong = (
        ("window", "lies outside of window_reach", not profile.window.within(profile.window_reach)),
        ("window", "lies outside of printable", not profile.window.within(profile.printable)),
        ("code_zone", "lies in window_reach", profile.code_zone.meets(profile.window_reach)),
        ("franking_zone", "lies over the window", franking is not None and franking.meets(profile.window)),
        ("mail_id_zone", "lies outside of the window", mail_id is not None and not mail_id.within(profile.window)),
        ("address.most_lines", "is below least_lines", profile.address.most_lines < profile.address.least_lines),
    )
    return [(key, what) for key, what, holds in wrong if holds]


def _wrong_orders(profile: Profile) -> list[tuple[str, str]]:
    faults = []
    if not _rising([each.most_sheets for each in profile.envelopes]):
        faults.append(("envelopes", "must stand in rising order of most_sheets"))
    if len({each.name for each in profile.envelopes}) < len(profile.envelopes):
        faults.append(("envelopes", "two have the same name"))
    for number, product in enumerate(profile.costs.products if profile.costs else ()):
        if not _rising([step.grams for step in product.steps]):
            faults.append((f"costs.products[{number}].steps", "must stand in rising order of grams"))
    return faults


def _rising(numbers: Sequence[int]) -> bool:
    return all(one < other for one, other in itertools.pairwise(numbers))


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a profile; what no schema can say is said when one is read."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Profile)}


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The profiles that come with us and those in the folder of own ones."""
    return tuple(sorted(_files(folder)))


@cache
def load(name: str = "be-right", folder: Path | None = None) -> Profile:
    """A profile by its name, read once per process.

    Args:
        name: the file's name without ``.toml``, and what it calls itself.
        folder: of own profiles; one that is called like one of ours stands in its place.

    Raises:
        KeyError: there is no such profile.
        ProfileRefused: it can't be used.
    """
    return read(_files(folder)[name])


def read(file: Path) -> Profile:
    """A profile from its file.

    Raises:
        ProfileRefused: it can't be used.
        OSError: the file can't be read.
    """
    profile = parse(file.read_text(encoding="utf-8"))
    if profile.name != file.stem:
        raise ProfileRefused(("name", f"is {profile.name}, but the file is called {file.name}"))
    return profile


def _files(folder: Path | None) -> dict[str, Path]:
    own = [] if folder is None else folder.glob("*.toml")
    return {path.stem: path for path in (*_FOLDER.glob("*.toml"), *own)}
