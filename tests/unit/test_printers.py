"""Print houses as files describe them: read whole, or refused with the file and the key that are wrong."""

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from printing import presort, profiles
from printing.providers.base import PrintProvider
from printing.providers.directory import DirectoryProvider
from printing.providers.http import HttpProvider
from printing.providers.s3 import S3Provider
from printing.providers.sftp import SftpProvider
from service import bootstrap
from service.cli import demo_house
from service.printers import opening
from service.printers.description import PrinterRefused, read_folder, read_numbers
from service.settings import Mode, SettingsRefused, read_settings

ONE = """
name = "{name}"
sender = "ZENDING1"
{more}
[way]
kind = "directory"
folder = "out"

[[products]]
name = "letter"
cut_offs = ["17:30", "11:00"]
{product}
"""
AGE = '[encryption]\nrecipients = ["age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq"]\n'


def write(folder: Path, name: str, *, more: str = "", product: str = "", end: str = "") -> None:
    (folder / f"{name}.toml").write_text(ONE.format(name=name, more=more, product=product) + end)


def test_what_a_file_says_is_what_a_process_has(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush" * 8 + "\n")
    said = 'callback_secret_file = "secret"\nfiles_per_batch = 2\nshares_envelopes = true'
    write(tmp_path, "alpha", more=said, end=AGE,
          product='daily_letters = 5\ndaily_sheets = 9\nsecond = "beta"\nhand_over_minutes = 15')  # fmt: skip
    write(tmp_path, "beta", end=AGE)
    with contextlib.ExitStack() as closing:
        printers = opening.open_all(tmp_path, encrypted=True, closing=closing)
    assert list(printers) == ["alpha", "beta"]
    alpha = printers.named("alpha")
    assert (alpha.sender, alpha.files_per_batch, alpha.callback_secret) == ("ZENDING1", 2, b"hush" * 8)
    assert len(alpha.recipients) == 1
    # A house that does not say that it goes by the sheet codes would close the second letter without an address.
    assert [each.shares_envelopes for each in printers.values()] == [True, False]
    letter = alpha.products["letter"]
    assert (letter.daily_letters, letter.daily_sheets, letter.second) == (5, 9, "beta")
    assert letter.hand_over == timedelta(minutes=15)
    # The second never has cut-offs of its own, and letters go to the first.
    assert printers.of("letter") is alpha
    (schedule,) = printers.schedules()
    assert (schedule.key, schedule.printer.name) == ("alpha/letter", "alpha")
    # A Monday in winter: 11:00 in Brussels is 10:00.
    assert schedule.after(datetime(2026, 11, 30, 8, tzinfo=UTC)) == datetime(2026, 11, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "product", "key"),
    [
        ("colour = 1", "", "colour"),
        ('profile = "be-middle"', "", "profile"),
        ('sender_ = "A"', "", "sender_"),
        ("files_per_batch = 0", "", "files_per_batch"),
        ('presort = "none.presort.toml"', "", "presort"),
        ("", "daily_letters = 0", "products[0].daily_letters"),
        ("", 'second = "alpha"', "products[0].second"),
        ("", 'second = "beta"', "products[0].second"),
        ("", '[[products]]\nname = "letter"\ncut_offs = ["10:00"]', "products[1].name"),
        ("", '[[products]]\nname = "other"\ncut_offs = ["24:00"]', "products[1].cut_offs"),
        ("", '[[products]]\nname = "other"\ncut_offs = ["10:00", "10:00"]', "products[1].cut_offs"),
        ("", '[[products]]\nname = "other"\ncut_offs = []', "products[1].cut_offs"),
        ("", '[[products]]\ncut_offs = ["10:00"]', "products[1].name"),
        ('callback_secret_file = "nowhere"', "", "callback_secret_file"),
        ("not toml", "", "file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_file_and_key(tmp_path: Path, more: str, product: str, key: str) -> None:
    write(tmp_path, "alpha", more=more, product=product)
    with contextlib.ExitStack() as closing, pytest.raises(PrinterRefused) as refused:
        opening.open_all(tmp_path, encrypted=False, closing=closing)
    assert (refused.value.file, refused.value.key.replace("[...]", "[1]" if "[1]" in key else "[0]")) == (
        "alpha.toml",
        key,
    )


def test_print_houses_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "alpha")
    write(tmp_path, "beta")
    with pytest.raises(PrinterRefused, match="name one of them as the other's second"):
        read_folder(tmp_path)
    write(tmp_path, "alpha", product='second = "beta"')
    assert [each.name for each in read_folder(tmp_path)] == ["alpha", "beta"]
    write(tmp_path, "beta", more='profile = "be-left"')
    with pytest.raises(PrinterRefused, match="asks for other letters"):
        read_folder(tmp_path)


def test_none_and_an_alien_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrinterRefused, match="has no print house"):
        read_folder(tmp_path)
    write(tmp_path, "alpha")
    (tmp_path / "alpha.toml").rename(tmp_path / "omega.toml")
    with pytest.raises(PrinterRefused, match="the file is called"):
        read_folder(tmp_path)


def test_a_product_that_nobody_offers_is_named_before_letters_wait_for_ever(tmp_path: Path) -> None:
    write(tmp_path, "alpha")
    needed = ("letter", "registered_letter")
    with contextlib.ExitStack() as closing:
        with pytest.raises(PrinterRefused, match="no print house offers registered_letter"):
            opening.open_all(tmp_path, encrypted=False, closing=closing, needed=needed)
        write(tmp_path, "alpha", product='[[products]]\nname = "registered_letter"\ncut_offs = ["10:00"]')
        assert list(opening.open_all(tmp_path, encrypted=False, closing=closing, needed=needed)) == ["alpha"]


def test_the_presort_table_gives_each_postcode_one_code() -> None:
    table = presort.load()
    assert "fictional" in table.note.lower()
    assert [table.code(each) for each in ("1000", "1299", "1300", "8400", "9999")] == [
        "BXL-1", "BXL-1", "WBR-1", "WVL-1", "OVL-3",
    ]  # fmt: skip
    assert {table.code(each) for each in ("0999", "5450", "75001", "", "SW1A 1AA")} == {table.other}


@pytest.mark.parametrize(
    "ranges",
    [
        '{ first = "1000", last = "1999", code = "A" }, { first = "1999", last = "2000", code = "B" }',
        '{ first = "2000", last = "1999", code = "A" }',
        '{ first = "1000", last = "19999", code = "A" }',
        '{ first = "2000", last = "2999", code = "A" }, { first = "1000", last = "1999", code = "B" }',
        '{ first = "1000", last = "1999", code = "a code" }',
        "",
    ],
)
def test_a_table_that_is_in_disorder_is_refused(ranges: str) -> None:
    with pytest.raises(presort.PresortRefused):
        presort.parse(f'note = "n"\nother = "Z"\nranges = [{ranges}]')


def way(place: Path, kind: str, values: Mapping[str, str | int]) -> None:
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    (place / "alpha.toml").write_text(
        f"""name = "alpha"
sender = "ZENDING1"
[way]
kind = "{kind}"
{lines}
[[products]]
name = "letter"
cut_offs = ["17:30"]
"""
    )


def opened(folder: Path) -> PrintProvider:
    with contextlib.ExitStack() as closing:
        return opening.open_all(folder, encrypted=False, closing=closing).named("alpha").provider


def place(folder: Path) -> str | None:
    with contextlib.ExitStack() as closing:
        return opening.open_all(folder, encrypted=False, closing=closing).named("alpha").place


SFTP = {"host": "sftp.example", "user": "zending", "key_file": "client.key", "folder": "/out", "incoming": "/in"}
S3 = {"endpoint": "https://s3.example", "bucket": "b", "region": "eu-west-1", "key_file": "s3.key", "folder": "out"}


HTTP = {"url": "https://print.example/zending", "token_file": "token"}


def files_of_ways(folder: Path) -> dict[str, dict[str, str | int]]:
    """What each way says, with the files that it names."""
    private = asyncssh.generate_private_key("ssh-ed25519")
    private.write_private_key(folder / "client.key")
    (folder / "s3.key").write_text("name\nsecret\n")
    (folder / "token").write_text("a-token\n")
    return {
        "directory": {"folder": "out"},
        "sftp": {**SFTP, "host_key": private.export_public_key().decode().strip()},
        "s3": {**S3},
        "http": {**HTTP},
    }


def test_in_production_no_way_goes_without_a_key_and_what_to_write_is_told_by_file(tmp_path: Path) -> None:
    for kind, values in files_of_ways(tmp_path).items():
        way(tmp_path, kind, values)
        with contextlib.ExitStack() as closing:
            with pytest.raises(PrinterRefused) as refused:
                opening.open_all(tmp_path, encrypted=True, closing=closing)
            opening.open_all(tmp_path, encrypted=False, closing=closing)
        assert (refused.value.file, refused.value.key, refused.value.code) == (
            "alpha.toml", "encryption", "PRINT_NOT_ENCRYPTED",
        ), kind  # fmt: skip
        told = str(refused.value)
        assert "PRINT_NOT_ENCRYPTED" in told
        assert "[encryption]" in told
        assert 'recipients = ["age1…"]' in told
        with (tmp_path / "alpha.toml").open("a") as file:
            file.write(AGE)
        with contextlib.ExitStack() as closing:
            made = opening.open_all(tmp_path, encrypted=True, closing=closing).named("alpha")
        assert (len(made.recipients), made.by_letter) == (1, kind == "http")


def test_a_process_in_production_does_not_start_with_one_and_a_demonstration_does(tmp_path: Path) -> None:
    write(tmp_path, "alpha", product='[[products]]\nname = "registered_letter"\ncut_offs = ["10:00"]')
    needed = dict.fromkeys(("database_url", "broker_url", "storage_url", "smtp_url"), "unused")
    needed |= {"base_url": "https://x.invalid", "oidc_issuer": "https://y.invalid", "tsa_url": "https://z.invalid"}
    paths = {"keys_folder": tmp_path, "trust_anchor": tmp_path, "print_folder": tmp_path, "printers": tmp_path}
    production = read_settings(**needed, **paths, mode="production", allow_unscanned=True)
    with contextlib.ExitStack() as closing:
        with pytest.raises(SettingsRefused, match=r"alpha\.toml: encryption: .* \(PRINT_NOT_ENCRYPTED\)\.$"):
            bootstrap._printers(production, closing)
        assert list(bootstrap._printers(production.model_copy(update={"mode": Mode.DEMO}), closing)) == ["alpha"]


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_in_production_nothing_goes_over_plain_http_sealed_or_not(tmp_path: Path, kind: str) -> None:
    way(tmp_path, kind, files_of_ways(tmp_path)[kind] | {"allow_http": True})
    with (tmp_path / "alpha.toml").open("a") as file:
        file.write(AGE)
    with contextlib.ExitStack() as closing:
        with pytest.raises(PrinterRefused) as refused:
            opening.open_all(tmp_path, encrypted=True, closing=closing)
        opening.open_all(tmp_path, encrypted=False, closing=closing)
    assert refused.value.key == "way.allow_http"


@pytest.mark.parametrize(
    ("values", "token", "key"),
    [
        ({**HTTP, "url": "http://print.example"}, "x", "way.url"),
        ({**HTTP, "url": "https:///zending"}, "x", "way.url"),
        ({**HTTP, "url": "https://me:secret@print.example"}, "x", "way.url"),
        ({**HTTP, "url": "https://print.example?to=x"}, "x", "way.url"),
        (HTTP, "two tokens", "way.token_file"),
        (HTTP, "", "way.token_file"),
        ({**HTTP, "token_file": "nowhere"}, "x", "way.token_file"),
    ],
)
def test_a_way_by_calls_that_cannot_be_used_is_refused_with_its_key(
    tmp_path: Path, values: dict[str, str | int], token: str, key: str
) -> None:
    (tmp_path / "token").write_text(token)
    way(tmp_path, "http", values)
    with pytest.raises(PrinterRefused) as refused:
        opened(tmp_path)
    assert refused.value.key == key
    assert "secret" not in str(refused.value)


def test_a_way_leads_to_one_place_whoever_we_are_there_and_to_another_from_another_host(tmp_path: Path) -> None:
    places = {
        "directory": (tmp_path / "out").as_uri(),
        "sftp": "sftp://sftp.example:22/out",
        "s3": "https://s3.example/b/out",
        "http": "https://print.example/zending",
    }
    other = {"folder": "other"}, {"user": "we", "seconds": 5.0}, {"region": "eu-west-3"}, {"seconds": 5.0}
    same = (False, True, True, True)
    found = files_of_ways(tmp_path)
    for (kind, values), change, stays in zip(found.items(), other, same, strict=True):
        way(tmp_path, kind, values)
        assert place(tmp_path) == places[kind]
        way(tmp_path, kind, {**values, **change})
        assert (place(tmp_path) == places[kind]) is stays


def test_each_way_is_opened_without_a_call(tmp_path: Path) -> None:
    kinds = {"directory": DirectoryProvider, "sftp": SftpProvider, "s3": S3Provider, "http": HttpProvider}
    for kind, values in files_of_ways(tmp_path).items():
        way(tmp_path, kind, values)
        assert isinstance(opened(tmp_path), kinds.pop(kind))
    assert kinds == {}


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        ("sftp", SFTP, "way.host_key"),
        ("sftp", {**SFTP, "host_key": "nothing"}, "way"),
        ("sftp", {**SFTP, "host_key": "nothing", "port": 0}, "way.port"),
        ("sftp", {**SFTP, "host_key": "nothing", "password": "x"}, "way.password"),
        ("s3", S3, "way"),
        ("s3", {**S3, "endpoint": "http://s3.example"}, "way"),
        ("ftp", SFTP, "way.kind"),
    ],
)
def test_a_way_that_cannot_be_used_is_refused_with_its_key(
    tmp_path: Path, kind: str, values: dict[str, str | int], key: str
) -> None:
    way(tmp_path, kind, values)
    with pytest.raises(PrinterRefused) as refused:
        opened(tmp_path)
    assert (refused.value.file, refused.value.key) == ("alpha.toml", key)


def test_an_own_profile_stands_in_a_folder_beside_the_print_houses(tmp_path: Path) -> None:
    own = (Path(profiles.__file__).with_name("profiles") / "be-right.toml").read_text(encoding="utf-8")
    (tmp_path / "profiles").mkdir()
    file = tmp_path / "profiles" / "own.toml"
    file.write_text(
        own.replace('name = "be-right"', 'name = "own"').replace("letter_bytes = 8_000_000", "letter_bytes = 9")
    )
    write(tmp_path, "alpha", more='profile = "own"')
    with contextlib.ExitStack() as closing:
        printers = opening.open_all(tmp_path, encrypted=False, closing=closing)
    assert printers.of("letter").profile.limits.letter_bytes == 9
    file.write_text(file.read_text().replace("width = 210", "width = -1"))
    profiles.load.cache_clear()
    with contextlib.ExitStack() as closing, pytest.raises(PrinterRefused, match=r"page\.width"):
        opening.open_all(tmp_path, encrypted=False, closing=closing)


RANGE = '[[numbers.ranges]]\nkind = "s10"\nprefix = "RR"\ncountry = "BE"\nfirst = {first}\nlast = {last}\n'


def test_ranges_of_numbers_are_read_and_refused_where_they_have_one_in_common(tmp_path: Path) -> None:
    write(tmp_path, "alpha", end=RANGE.format(first=1, last=9) + RANGE.format(first=10, last=19))
    with contextlib.ExitStack() as closing:
        printers = opening.open_all(tmp_path, encrypted=False, closing=closing)
    assert [each.number(each.first) for each in printers.named("alpha").numbers] == ["RR000000014BE", "RR000000102BE"]
    for end in (RANGE.format(first=1, last=9) + RANGE.format(first=9, last=19), RANGE.format(first=1, last=10**8)):
        write(tmp_path, "alpha", end=end)
        with pytest.raises(PrinterRefused):
            read_folder(tmp_path)


def test_ranges_of_a_file_of_their_own_are_read_and_the_demonstrations_are_nobodys(tmp_path: Path) -> None:
    file = Path(demo_house.SETTINGS["ZENDING_PRINT_NUMBERS"])
    assert "fictional" in file.read_text("utf-8")
    shown = {each.kind: each.number(each.first) for each in read_numbers(file)}
    assert shown == {"gs1": "010200000000000821990000000001", "s10": "RR000000014ZZ"}
    wrong = {"ranges = 1": "ranges", "[[ranges]]\nkind = 's10'": "ranges", "[": "file"}
    for text, key in wrong.items():
        (tmp_path / "own.toml").write_text(text)
        with pytest.raises(PrinterRefused) as refused:
            read_numbers(tmp_path / "own.toml")
        assert refused.value.key.startswith(key), text
    with pytest.raises(PrinterRefused, match="FileNotFoundError"):
        read_numbers(tmp_path / "none.toml")
