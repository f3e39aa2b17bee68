"""``zending keys seals``: the seal profiles that are there, and whether each really signs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from service.seals.profile import KeyPlace, SealProfile
    from service.seals.refused import RefusedPins
    from signing.keys import SealKey


@click.group()
def seals() -> None:
    """Seal profiles (docs/signing.md): listed, and tried."""


@seals.command("list")
@click.pass_context
def show(context: click.Context) -> None:
    """List the profiles: where the key is, how it signs, until when it seals, and what takes over."""
    from service.seals.profile import read_profile
    from signing.errors import SigningError

    folder = _seals_folder(context)
    names = _names(folder, ())
    table = Table("profile", "provider", "mechanism", "level", "seals until", "next key")
    for name in names:
        try:
            profile = read_profile(folder, name)
        except SigningError as error:
            table.add_row(name, "", "", "", f"{error.code}: {error.detail}", "")
            continue
        mechanism, until = _described(profile, profile.key, folder)
        coming = ""
        if profile.next is not None:
            taking, lasting = _described(profile, profile.next.key, folder)
            coming = (
                f"{profile.next.key.provider} {taking} from {profile.next.start:%Y-%m-%d %H:%M %Z}, until {lasting}"
            )
        table.add_row(name, profile.key.provider, mechanism, profile.level.value, until, coming)
    Console(width=160).print(table)


@seals.command()
@click.argument("profiles", nargs=-1)
@click.option("--again", is_flag=True, help="Show refused PINs again to signing services: they are right now.")
@click.pass_context
def check(context: click.Context, profiles: tuple[str, ...], *, again: bool) -> None:
    """Sign a digest with each key of PROFILES (all, when none is named), verify it, and say what is wrong.

    Nothing is sealed. A remote service may count, and charge, the signature.
    """
    from service.seals.profile import read_profile
    from signing.errors import SigningError

    folder = _seals_folder(context)
    if again:
        _refused_pins().forget()
    failed = 0
    for name in _names(folder, profiles):
        try:
            profile = read_profile(folder, name)
        except SigningError as error:
            failed += _fail(name, error.code, error.detail)
            continue
        for which, place in zip(("", " (next key)"), profile.keys, strict=False):
            failed += _try(f"{name}{which}", profile, place, folder)
        failed += _look(name, profile, folder)
    if failed:
        raise click.ClickException(f"{failed} key(s) or looks can't be used.")


def _look(name: str, profile: "SealProfile", folder: Path) -> int:
    from service.seals.looks import appearance
    from signing.errors import SigningError

    if profile.appearance is not None:
        try:
            appearance(profile.appearance, folder)
        except SigningError as error:
            return _fail(f"{name} (look)", error.code, error.detail)
    return 0


def _try(called: str, profile: "SealProfile", place: "KeyPlace", folder: Path) -> int:
    from service.seals.sealers import FileKeysRefused, refuse_ending
    from signing.errors import SigningError

    try:
        if place.in_files and not _files_allowed(folder):
            raise FileKeysRefused
        began = time.perf_counter()
        with _opened(place, folder) as key:
            opening = time.perf_counter() - began
            signing = _signed(key)
            margin = profile.margin(_usual_margin())
            refuse_ending(key, margin, datetime.now(UTC))
            _refuse_untrusted(key)
            until = key.certificate.not_valid_after_utc
    except SigningError as error:
        return _fail(called, error.code, error.detail)
    click.echo(
        f"{called}: signs by {key.mechanism} in {signing * 1000:.1f} ms (opened in {opening * 1000:.0f} ms); "
        f"certificate until {until:%Y-%m-%d}, seals until {until - margin:%Y-%m-%d}."
    )
    return 0


@contextmanager
def _opened(place: "KeyPlace", folder: Path) -> "Iterator[SealKey]":
    from service.seals.opening import open_key

    key = open_key(place, folder, _refused_pins())
    try:
        yield key
    finally:
        if close := getattr(key, "close", None):
            close()


def _signed(key: "SealKey") -> float:
    """Seconds that a signature takes, once it was verified."""
    from signing.algorithms import digest, signature_holds
    from signing.errors import SealCheckFailed

    tried = digest(key.mechanism.digest, b"zending keys seals check")
    began = time.perf_counter()
    signature = key.sign(tried)
    seconds = time.perf_counter() - began
    public = key.certificate.public_key()
    if not signature_holds(public, key.mechanism.encoded, key.mechanism.digest, signature, tried):
        raise SealCheckFailed("The key made a signature that its certificate doesn't verify.")
    return seconds


def _refuse_untrusted(key: "SealKey") -> None:
    """Where the settings say whom to trust: what doesn't lead there seals nothing."""
    from service.settings import read_variable
    from signing.errors import KeyUnusable
    from signing.trust import load_certificates, path_to_root

    if anchor := read_variable("ZENDING_TRUST_ANCHOR"):
        roots = load_certificates(Path(anchor))
        if path_to_root(key.certificate, key.chain, roots, datetime.now(UTC)) is None:
            raise KeyUnusable("The certificate does not lead to a root in ZENDING_TRUST_ANCHOR by the chain given.")


def _described(profile: "SealProfile", place: "KeyPlace", folder: Path) -> tuple[str, str]:
    """A key's mechanism and the day until which it seals, or why that can't be said."""
    from signing.errors import SigningError

    try:
        with _opened(place, folder) as key:
            until = key.certificate.not_valid_after_utc - profile.margin(_usual_margin())
            return key.mechanism.value, f"{until:%Y-%m-%d}"
    except SigningError as error:
        return place.mechanism.value if place.mechanism else "", f"{error.code}: {error.detail}"


def _fail(called: str, code: str, detail: str) -> int:
    click.echo(f"{called}: {code}: {detail}", err=True)
    return 1


def _refused_pins() -> "RefusedPins":
    """What the service's processes of this machine remember too."""
    from service.bootstrap import REFUSED_PINS
    from service.seals.refused import RefusedPins
    from service.settings import Settings, read_variable

    usual: Path = Settings.model_fields["home"].default
    return RefusedPins(Path(read_variable("ZENDING_HOME") or usual) / REFUSED_PINS)


def _usual_margin() -> timedelta:
    """What ``ZENDING_SEAL_STOP_DAYS`` says; the command needs no other setting."""
    from service.settings import Settings, read_variable

    usual: float = Settings.model_fields["seal_stop_days"].default
    try:
        return timedelta(days=float(read_variable("ZENDING_SEAL_STOP_DAYS") or usual))
    except ValueError:
        raise click.ClickException("ZENDING_SEAL_STOP_DAYS can't be used: it is no number.") from None


def _files_allowed(folder: Path) -> bool:
    from service.settings import Mode, read_variable

    return read_variable("ZENDING_MODE") == Mode.DEMO.value or (folder.parent / "DEMO").exists()


def _names(folder: Path, wanted: tuple[str, ...]) -> list[str]:
    from service.seals.sealers import names_in

    there = names_in(folder)
    if missing := [name for name in wanted if name not in there]:
        raise click.ClickException(f"there is no profile {', '.join(missing)} in {folder}; there are: {_told(there)}.")
    if not there:
        raise click.ClickException(f"there is no profile in {folder} (docs/signing.md says how to write one).")
    return list(wanted) or there


def _told(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _seals_folder(context: click.Context) -> Path:
    from service.own_keys import SEALS

    above: click.Context | None = context
    while above is not None:
        if isinstance(found := above.params.get("folder"), Path):
            return found / SEALS
        above = above.parent
    raise click.UsageError("there is no folder of keys.")
