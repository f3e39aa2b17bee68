"""What a file says of a print house: ``<name>.toml`` in the folder that ZENDING_PRINTERS names."""

import itertools
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from printing import presort, profiles
from printing.numbers import NumberRange, check_ranges
from service.domain import cutoffs
from service.domain.errors import Invalid

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Count = Annotated[int, Meta(ge=1)]


PROFILES: Final = "profiles"
"""The folder of own profiles, beside the files of the print houses."""


class PrinterRefused(ValueError):
    """A print house can't be used as it is described; the text names the file and the key, and says what is wrong."""

    def __init__(self, file: str, key: str, what: str, *, code: str | None = None) -> None:
        """Hold the one fault that is to be mended next; those that production alone refuses have a code."""
        super().__init__(f"{file}: {key}: {what}" + (f" ({code})" if code else ""))
        self.file, self.key, self.code = file, key, code


class DirectoryWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="directory"):
    """A folder that the print house reads, and one in which it puts what it tells us."""

    folder: Annotated[str, Meta(min_length=1)]
    incoming: str | None = None


Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=600)]


class SftpWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sftp"):
    """An SFTP server, known by its key; see `printing.providers.sftp.SftpServer`."""

    host: Text
    user: Text
    host_key: Text
    key_file: Text
    folder: Text
    port: Annotated[int, Meta(ge=1, le=65_535)] = 22
    incoming: Text | None = None
    seconds: Seconds = 30.0


class S3Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="s3"):
    """A bucket that the print house reads; see `printing.providers.s3.Bucket`."""

    endpoint: Text
    bucket: Text
    region: Text
    key_file: Text
    folder: Text
    incoming: Text | None = None
    allow_http: bool = False
    seconds: Seconds = 30.0


class HttpWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="http"):
    """A print house that is called letter by letter; see `printing.providers.http`."""

    url: Text
    token_file: Text
    allow_http: bool = False
    seconds: Seconds = 30.0


Way = DirectoryWay | SftpWay | S3Way | HttpWay
"""By its ``kind``."""


class Encryption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys (age) that can open what we hand over."""

    recipients: Annotated[tuple[Annotated[str, Meta(pattern="^age1[0-9a-z]+$")], ...], Meta(min_length=1)]


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ranges of numbers that the post gave us."""

    ranges: tuple[NumberRange, ...] = ()

    def __post_init__(self) -> None:
        """Refuse ranges of which two have a number in common."""
        check_ranges(self.ranges)


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a print house does for us under one name.

    Attributes:
        name: as letters ask for it (``letter``, ``registered_letter``).
        cut_offs: hours (HH:MM) in Brussels, on working days.
        forecast_minutes: how long before each cut-off the print house is told what waits; 0 for not at all.
        hand_over_minutes: how long after its cut-off a run is brought there; until then senders may take letters back.
        daily_letters: what it prints for us in a day; None for as much as comes.
        daily_sheets: the same, in sheets.
        second: the print house that gets what is more than that; none, and it waits for the next run.
        deadline_days: working days after its hand-over in which a letter is to be posted; None: as set for all.
    """

    name: Name
    cut_offs: Annotated[tuple[str, ...], Meta(min_length=1)]
    forecast_minutes: Annotated[int, Meta(ge=0, le=1440)] = 60
    hand_over_minutes: Annotated[int, Meta(ge=0, le=1440)] = 20
    daily_letters: Count | None = None
    daily_sheets: Count | None = None
    second: Name | None = None
    deadline_days: Annotated[int, Meta(ge=1, le=60)] | None = None


class Printer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A print house, as its file describes it.

    Attributes:
        sender: the eight capitals or digits by which it knows us.
        profile: what it asks of letters.
        files_per_batch: how many PDFs one parcel may hold.
        presort: a table of our own in the same folder; None for the one that comes with us.
        shares_envelopes: letters of one sender to one addressee may share an envelope there, where the sender allows
            it: its machines close envelopes by the sheet codes. Never where letters go one by one (``http``).
        callback_secret_file: with the secret that its calls are signed with; none, and it may not call.
    """

    name: Name
    sender: Annotated[str, Meta(pattern="^[A-Z0-9]{8}$")]
    way: Way
    products: Annotated[tuple[Product, ...], Meta(min_length=1)]
    profile: str = "be-right"
    files_per_batch: Annotated[int, Meta(ge=1, le=20)] = 4
    presort: str | None = None
    encryption: Encryption | None = None
    numbers: Numbers = Numbers()
    shares_envelopes: bool = False
    callback_secret_file: str | None = None


def read_folder(folder: Path) -> tuple[Printer, ...]:
    """Every print house of a folder, in the order of their names.

    Raises:
        PrinterRefused: the folder has none, or one can't be used.
    """
    try:
        files = sorted(folder.glob("*.toml"))
        printers = tuple(_read(file) for file in files if not file.name.endswith(".presort.toml"))
    except OSError as error:
        raise PrinterRefused(str(folder), "folder", f"can't be read ({type(error).__name__})") from None
    if not printers:
        raise PrinterRefused(str(folder), "folder", "has no print house (<name>.toml)")
    check_together(printers)
    return printers


def _read(file: Path) -> Printer:
    try:
        printer = parse(file.read_text(encoding="utf-8"), file=file.name)
        profiles.load(printer.profile, file.parent / PROFILES)
    except KeyError:
        raise PrinterRefused(file.name, "profile", "there is none of that name") from None
    except profiles.ProfileRefused as error:
        raise PrinterRefused(file.name, "profile", str(error)) from None
    except UnicodeDecodeError:
        raise PrinterRefused(file.name, "file", "is no UTF-8") from None
    if printer.name != file.stem:
        raise PrinterRefused(file.name, "name", f"is {printer.name}, and the file is called {file.name}")
    if printer.presort is not None:
        read_presort(printer, file.parent)
    return printer


def read_numbers(file: Path) -> tuple[NumberRange, ...]:
    """The ranges of a file of their own, ``[[ranges]]``.

    Raises:
        PrinterRefused: it can't be read, or a range can't be used.
    """
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Numbers).ranges
    except (OSError, UnicodeDecodeError) as error:
        raise PrinterRefused(file.name, "file", f"can't be read ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError as error:
        raise PrinterRefused(file.name, "file", f"no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PrinterRefused(file.name, *_fault(str(error))) from None


def parse(text: str, *, file: str) -> Printer:
    """A print house from TOML.

    Raises:
        PrinterRefused: the text is no TOML, or a value is missing, unknown, of the wrong kind, or contradicts another.
    """
    try:
        printer: Printer = msgspec.convert(tomllib.loads(text), Printer)
    except tomllib.TOMLDecodeError as error:
        raise PrinterRefused(file, "file", f"no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PrinterRefused(file, *_fault(str(error))) from None
    seen: set[str] = set()
    for number, product in enumerate(printer.products):
        key = f"products[{number}]"
        if product.name in seen:
            raise PrinterRefused(file, f"{key}.name", f"{product.name} stands there twice")
        seen.add(product.name)
        if product.second == printer.name:
            raise PrinterRefused(file, f"{key}.second", "is this print house itself")
        try:
            cutoffs.read_hours(product.cut_offs)
        except Invalid as error:
            raise PrinterRefused(file, f"{key}.cut_offs", error.detail) from None
    return printer


def read_presort(printer: Printer, folder: Path) -> presort.Table:
    """The table that a print house's letters are sorted by.

    Raises:
        PrinterRefused: it can't be used.
    """
    assert printer.presort is not None
    try:
        return presort.read(folder / printer.presort)
    except (presort.PresortRefused, OSError) as error:
        raise PrinterRefused(f"{printer.name}.toml", "presort", str(error)) from None


def check_together(printers: Iterable[Printer]) -> None:
    """Look whether print houses fit each other.

    Raises:
        PrinterRefused: one names a second that is not there, that lacks the product or asks for other letters; or two
            offer the same product and neither is the other's second, so that nobody knows which one gets a letter.
    """
    by_name = {printer.name: printer for printer in printers}
    seconds = set()
    for printer in by_name.values():
        for number, product in enumerate(printer.products):
            if product.second is None:
                continue
            file, key = f"{printer.name}.toml", f"products[{number}].second"
            second = by_name.get(product.second)
            if second is None:
                raise PrinterRefused(file, key, f"there is no print house {product.second}")
            other = next((each for each in second.products if each.name == product.name), None)
            if other is None or other.second is not None:
                what = f"{second.name} has no product {product.name}" if other is None else "has a second itself"
                raise PrinterRefused(file, key, what)
            if second.profile != printer.profile:
                raise PrinterRefused(file, key, f"{second.name} asks for other letters (profile {second.profile})")
            seconds.add((second.name, product.name))
    first: dict[str, str] = {}
    for printer, product in itertools.chain.from_iterable(
        ((printer, product) for product in printer.products) for printer in by_name.values()
    ):
        if (printer.name, product.name) in seconds:
            continue
        if product.name in first:
            what = f"{first[product.name]} has {product.name} too: name one of them as the other's second"
            raise PrinterRefused(f"{printer.name}.toml", "products", what)
        first[product.name] = printer.name


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<key>[^`]*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"Object (?P<how>contains unknown|missing required) field `(?P<field>.*)`")


def _fault(message: str) -> tuple[str, str]:
    """Key and sentence of what msgspec says."""
    found = _AT.fullmatch(message)
    assert found is not None, "the pattern takes any text"
    where, what = found["key"] or "", found["what"]
    field = _FIELD.fullmatch(what)
    if field is None:
        return where or "file", what
    key = ".".join(part for part in (where, field["field"]) if part)
    return key, "is unknown" if field["how"] == "contains unknown" else "is missing"
