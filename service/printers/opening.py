"""From what is said of print houses to print houses that can be used."""

import contextlib
import re
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from printing import presort, profiles
from printing.encryption import check_recipients
from printing.numbers import NumberRange
from printing.providers.base import PrintProvider
from printing.providers.directory import DirectoryProvider
from printing.providers.http import HttpProvider
from printing.providers.s3 import Bucket, S3Provider
from service.domain.cutoffs import read_hours
from service.outgoing import hosts_of, http_client
from service.printers import description
from service.printers.description import PrinterRefused, Way
from service.printers.wired import Printer, Printers, Product
from service.settings import NOT_ENCRYPTED

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
LEAST_SECRET = 32
"""Bytes of what a print house signs its calls with."""


def open_all(folder: Path, *, encrypted: bool, closing: contextlib.ExitStack, needed: Collection[str] = ()) -> Printers:
    """Every print house that the folder describes.

    Args:
        folder: where the files are; paths in them are from there on.
        encrypted: refuse one that what we hand over is not encrypted for, or that is called without TLS.
        closing: what lets go of connections at the end.
        needed: products that letters are made as, and that somebody must therefore offer.

    Raises:
        PrinterRefused: one can't be used, or none offers a product that is needed.
    """
    described = description.read_folder(folder)
    offered = {product.name for each in described for product in each.products}
    for product in sorted(set(needed) - offered):
        what = f"no print house offers {product}, so letters of this product would wait for ever"
        raise PrinterRefused(str(folder), "products", what)
    found = []
    for each in described:
        file = f"{each.name}.toml"
        recipients = () if each.encryption is None else each.encryption.recipients
        if recipients:
            try:
                check_recipients(recipients)
            except ValueError as error:
                raise PrinterRefused(file, "encryption.recipients", str(error)) from None
        if encrypted:
            _refuse_clear(each, file)
        by_letter = isinstance(each.way, description.HttpWay)
        found.append(
            Printer(
                name=each.name,
                sender=each.sender,
                profile=profiles.load(each.profile, folder / description.PROFILES),
                provider=open_way(each.way, folder, file=file, closing=closing),
                place=place_of(each.way, folder),
                products={product.name: _product(product) for product in each.products},
                presort=presort.load() if each.presort is None else description.read_presort(each, folder),
                files_per_batch=each.files_per_batch,
                recipients=recipients,
                by_letter=by_letter,
                numbers=each.numbers.ranges,
                shares_envelopes=each.shares_envelopes and not by_letter,
                callback_secret=_secret(each, folder),
            )
        )
    return Printers(found)


def _refuse_clear(told: description.Printer, file: str) -> None:
    """Refuse a print house that would get letters in clear, whatever the way there."""
    if told.encryption is None:
        what = (
            "is missing, and in production letters leave only encrypted: write [encryption] and below it "
            'recipients = ["age1…"], the public key that the print house made with age-keygen'
        )
        raise PrinterRefused(file, "encryption", what, code=NOT_ENCRYPTED)
    if isinstance(told.way, description.S3Way | description.HttpWay) and told.way.allow_http:
        # What is sealed stays so, but what the print house tells, and who we are there, would travel in clear.
        raise PrinterRefused(file, "way.allow_http", "in production every call goes over TLS: leave it out")


def open_way(way: Way, folder: Path, *, file: str, closing: contextlib.ExitStack) -> PrintProvider:
    """The way to a print house.

    Raises:
        PrinterRefused: something that it needs is not there.
    """
    del closing  # each way lets go of its connections by itself
    if isinstance(way, description.DirectoryWay):
        return DirectoryProvider(folder / way.folder, None if way.incoming is None else folder / way.incoming)
    if isinstance(way, description.HttpWay):
        return _by_calls(way, folder, file=file)
    # Only who has such a print house waits for a library of SSH to load, with each command.
    from printing.providers.sftp import SftpProvider, SftpServer

    told = msgspec.structs.asdict(way) | {"key_file": folder / way.key_file}
    try:
        return SftpProvider(SftpServer(**told)) if isinstance(way, description.SftpWay) else S3Provider(Bucket(**told))
    except ValueError as error:
        raise PrinterRefused(file, "way", str(error)) from None


def _by_calls(way: description.HttpWay, folder: Path, *, file: str) -> HttpProvider:
    told = urlsplit(way.url)
    if told.scheme not in ({"https", "http"} if way.allow_http else {"https"}) or not told.hostname:
        raise PrinterRefused(file, "way.url", "begins with https:// and names a host")
    if told.query or told.fragment or told.username is not None or told.password is not None:
        raise PrinterRefused(file, "way.url", "has no name, password, query or fragment in it")
    try:
        token = (folder / way.token_file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PrinterRefused(file, "way.token_file", f"can't be read ({type(error).__name__})") from None
    if not _TOKEN.fullmatch(token):
        raise PrinterRefused(file, "way.token_file", "holds one token: letters, digits and -._~+/=")
    client = partial(http_client, hosts_of([way.url]), seconds=way.seconds)
    return HttpProvider(way.url, token, client, seconds=way.seconds)


def place_of(way: Way, folder: Path) -> str:
    """Where a way leads, as an address that stays the same while only keys, names or time limits change."""
    if isinstance(way, description.DirectoryWay):
        return (folder / way.folder).absolute().as_uri()
    if isinstance(way, description.SftpWay):
        return f"sftp://{way.host}:{way.port}/{way.folder.strip('/')}"
    if isinstance(way, description.S3Way):
        return f"{way.endpoint.rstrip('/')}/{way.bucket}/{way.folder.strip('/')}"
    return way.url.rstrip("/")


def only(
    *,
    name: str,
    sender: str,
    folder: Path,
    incoming: Path | None,
    period: timedelta,
    products: tuple[str, ...],
    numbers: tuple[NumberRange, ...] = (),
) -> Printers:
    """The one print house there is where none are described: a folder, and a cut-off every period."""
    return Printers(
        [
            Printer(
                name=name,
                sender=sender,
                profile=profiles.load(),
                provider=DirectoryProvider(folder, incoming),
                place=folder.absolute().as_uri(),
                products={product: Product(product, period=period) for product in products},
                presort=presort.load(),
                numbers=numbers,
                # The simulated print house, and whoever reads the folder by the manifest, goes by the sheet codes.
                shares_envelopes=True,
            )
        ]
    )


def _product(told: description.Product) -> Product:
    return Product(
        name=told.name,
        hours=read_hours(told.cut_offs),
        forecast=timedelta(minutes=told.forecast_minutes),
        hand_over=timedelta(minutes=told.hand_over_minutes),
        daily_letters=told.daily_letters,
        daily_sheets=told.daily_sheets,
        second=told.second,
        deadline_days=told.deadline_days,
    )


def _secret(told: description.Printer, folder: Path) -> bytes | None:
    if told.callback_secret_file is None:
        return None
    try:
        secret = (folder / told.callback_secret_file).read_bytes().strip()
    except OSError as error:
        what = f"can't be read ({type(error).__name__})"
        raise PrinterRefused(f"{told.name}.toml", "callback_secret_file", what) from None
    if len(secret) < LEAST_SECRET:
        what = f"must hold at least {LEAST_SECRET} bytes"
        raise PrinterRefused(f"{told.name}.toml", "callback_secret_file", what)
    return secret
