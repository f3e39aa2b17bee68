"""Print houses as a process has them: with the way there, and everything that their files name read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from printing.encryption import is_sealed, name_open, name_sealed, seal_for
from printing.numbers import NumberRange
from printing.presort import Table
from printing.profiles import Profile
from printing.providers.base import PrintProvider
from printing.sealed_letters import seal_each
from service.domain.cutoffs import next_cut_off
from service.domain.errors import NotFound


@dataclass(frozen=True)
class Product:
    """What a print house does for us under one name; see `service.printers.description.Product`.

    Attributes:
        hours: its cut-offs; empty where they come every ``period`` instead, whatever day it is.
    """

    name: str
    hours: tuple[time, ...] = ()
    period: timedelta | None = None
    forecast: timedelta = timedelta()
    hand_over: timedelta = timedelta()
    daily_letters: int | None = None
    daily_sheets: int | None = None
    second: str | None = None
    deadline_days: int | None = None

    def cut_off_after(self, moment: datetime) -> datetime:
        """Its first cut-off later than this."""
        return next_cut_off(moment, self.hours) if self.period is None else moment + self.period


@dataclass(frozen=True)
class Printer:
    """One print house.

    Attributes:
        sender: the eight capitals or digits by which it knows us.
        provider: the way there.
        place: where that leads: scheme, host and folder, without who we are there; None, and it is not watched.
        products: by their names.
        recipients: the keys that can open what we hand over; empty, and it goes in clear.
        shares_envelopes: its machines close an envelope by the sheet codes, however many letters are in it.
        by_letter: letters go one by one, so each is encrypted by itself.
        callback_secret: what its calls are signed with; None, and it may not call.
    """

    name: str
    sender: str
    profile: Profile
    provider: PrintProvider
    products: Mapping[str, Product]
    presort: Table
    place: str | None = None
    files_per_batch: int = 1
    recipients: tuple[str, ...] = ()
    by_letter: bool = False
    numbers: tuple[NumberRange, ...] = ()
    shares_envelopes: bool = False
    callback_secret: bytes | None = field(default=None, repr=False)

    def called(self, name: str) -> str:
        """What a parcel of this name is called on its way there."""
        return name_sealed(name) if self.recipients else name

    def takes(self, name: str, content: bytes) -> bool:
        """Whether a frozen parcel is in the form that is asked for now; one that is sealed is never opened again."""
        if not self.recipients:
            return True
        return name == self.called(name_open(name)) and is_sealed(content) is not self.by_letter

    def seal(self, package: bytes) -> bytes:
        """A batch's package, encrypted as it is brought to this print house; other bytes each time.

        Raises:
            ValueError: it has no recipients.
        """
        return (seal_each if self.by_letter else seal_for)(self.recipients, package)


@dataclass(frozen=True)
class Schedule:
    """Cut-offs that come together: their name in the table of cut-offs, and what they close."""

    key: str
    printer: Printer
    products: tuple[Product, ...]

    def after(self, moment: datetime) -> datetime:
        """The first cut-off later than this."""
        return self.products[0].cut_off_after(moment)


class Printers(Mapping[str, Printer]):
    """All print houses, by their names."""

    def __init__(self, printers: Sequence[Printer]) -> None:
        """Hold at least one; the first one is who gets what no other is there for."""
        if not printers:
            raise ValueError("there is at least one print house")
        self._printers = {printer.name: printer for printer in printers}

    def __getitem__(self, name: str) -> Printer:
        """A print house by its name."""
        return self._printers[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._printers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._printers)

    def named(self, name: str) -> Printer:
        """A print house by its name.

        Raises:
            NotFound: there is none.
        """
        if name not in self._printers:
            raise NotFound(f"There is no print house by this name; there are: {', '.join(self._printers)}.")
        return self._printers[name]

    @property
    def first(self) -> Printer:
        """The first by name: who is named where no product tells."""
        return next(iter(self._printers.values()))

    def of(self, product: str) -> Printer:
        """Who gets letters of a product: who offers it and is nobody's second for it.

        Letters composed for a print house that left, or became a second (without cut-offs of its own), go there too.
        """
        seconds = {offered.second for printer in self._printers.values() if (offered := printer.products.get(product))}
        for printer in self._printers.values():
            if product in printer.products and printer.name not in seconds:
                return printer
        return self.first

    def schedules(self) -> tuple[Schedule, ...]:
        """The cut-offs there are: of each print house and product that letters go to first."""
        found = []
        for printer in self._printers.values():
            own = [product for product in printer.products.values() if self.of(product.name) is printer]
            # Those that come every so many seconds come together, under the print house's own name.
            if together := tuple(product for product in own if product.period is not None):
                found.append(Schedule(printer.name, printer, together))
            found += [
                Schedule(f"{printer.name}/{product.name}", printer, (product,))
                for product in own
                if product.period is None
            ]
        return tuple(found)
