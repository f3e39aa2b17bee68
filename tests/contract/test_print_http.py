"""What only the way letter by letter does; what all ways hold is in test_print_providers.py."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

import pikepdf
import pytest
from PIL import ImageChops

from printing.batch import merge
from printing.errors import ProviderRefused, ProviderUnavailable
from printing.manifest import BatchKey, Manifest, describe_file, pack, read_manifest
from printing.providers.base import Parcel, PrintProvider, RemoteKind, hand_over
from service.outgoing import http_client
from tests.print_http_support import TOKEN, Batch, House, HttpRemote, http_house
from tests.print_way_support import NAME
from tests.printing_support import batch_letter, document, letter, picture, texts_of

KEY = BatchKey("map", "normal", colour=False, duplex=True, envelope="C5/6", registered=None, language="nl")
PAGES = [("Eerste brief", "twee"), ("Tweede brief",), ("Derde brief", "twee", "drie")]


def _layered() -> bytes:
    """A page with a square in a layer that is hidden."""
    with pikepdf.open(BytesIO(document("Met laag"))) as pdf:
        layer = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="hidden"))
        pdf.Root.OCProperties = pikepdf.Dictionary(
            OCGs=pikepdf.Array([layer]), D=pikepdf.Dictionary(OFF=pikepdf.Array([layer]))
        )
        page = pdf.pages[0]
        page.obj.Resources.Properties = pikepdf.Dictionary(Layer=layer)
        page.contents_add(b"/OC /Layer BDC 0 g 200 300 100 100 re f EMC")
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


@cache
def package() -> tuple[bytes, tuple[bytes, ...]]:
    """A batch of four letters, and each letter as it was composed."""
    made = [*(letter(document(*texts)) for texts in PAGES), letter(_layered())]
    out = BytesIO()
    entries = merge([batch_letter(number, each) for number, each in enumerate(made)], out)
    manifest = Manifest(
        batch=1,
        sender="VOORBEEL",
        created=datetime(2026, 11, 23, 17, 50, 1, tzinfo=UTC),
        key=KEY,
        files=(describe_file("letters.pdf", BytesIO(out.getvalue()), entries),),
        letters=entries,
    )
    packed = BytesIO()
    pack(manifest, {"letters.pdf": BytesIO(out.getvalue())}, packed)
    return packed.getvalue(), tuple(each.pdf for each in made)


DATA = package()[0]
PARCEL = Parcel(NAME, len(DATA), hashlib.sha256(DATA).hexdigest())
LETTERS = [f"letters/let_{number}-1" for number in range(4)]


@pytest.fixture
def remote() -> Iterator[HttpRemote]:
    with http_house() as made:
        yield made


class Side:
    """Our side, with what it committed."""

    def __init__(self, remote: HttpRemote) -> None:
        self.remote, self.uploaded = remote, False

    def commit(self) -> None:
        self.uploaded = True

    def hand_over(self) -> None:
        hand_over(self.remote.provider(), PARCEL, DATA, uploaded=self.uploaded, commit_uploaded=self.commit)


def _sent(house: House) -> list[str]:
    return [path.removeprefix(f"batches/{NAME}/") for method, path in house.calls if method == "PUT" and "/let" in path]


def _batch(house: House) -> Batch:
    return house.batches[NAME]


def test_each_letter_goes_by_itself_and_nothing_is_printed_before_all_is_there(remote: HttpRemote) -> None:
    house = remote.house
    assert remote.provider().upload(PARCEL, DATA).kind is RemoteKind.UPLOADED
    assert _sent(house) == LETTERS
    assert house.keys == [f'"{NAME}/{each}"' for each in LETTERS]
    assert house.printed == []
    about = _batch(house).about
    assert about is not None
    assert (about["batch"], about["sender"], about["key"]["product"]) == (1, "VOORBEEL", "normal")
    for entry, name in zip(read_manifest(BytesIO(DATA)).letters, LETTERS, strict=True):
        told = _batch(house).letters[name]
        assert (told["id"], told["attempt"], told["sheets"]) == (entry.id, entry.attempt, entry.sheets)
        assert tuple(told["address_lines"]) == entry.address_lines
        assert (told["file"], told["first_page"]) == (f"{entry.id}-1.pdf", 1)
        assert len(texts_of(_batch(house).parts[name])) == told["pages"] == entry.pages
    for _ in range(2):
        remote.provider().publish(PARCEL)
    assert house.printed == LETTERS


def test_letters_look_as_they_were_composed_with_hidden_layers_hidden(remote: HttpRemote) -> None:
    remote.provider().upload(PARCEL, DATA)
    for name, composed in zip(LETTERS, package()[1], strict=True):
        sent = _batch(remote.house).parts[name]
        for page in range(len(texts_of(composed))):
            assert ImageChops.difference(picture(composed, page), picture(sent, page)).getbbox() is None
    # Letters of others go to nobody: neither as a page nor as something left in the file.
    assert "Tweede" not in " ".join(texts_of(_batch(remote.house).parts[LETTERS[0]]))
    assert len(_batch(remote.house).parts[LETTERS[1]]) < len(DATA)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("number", [1, 3, 4])
def test_after_a_broken_connection_it_goes_on_where_it_was(remote: HttpRemote, cut: str, number: int) -> None:
    house, side = remote.house, Side(remote)
    setattr(house, f"cut_{cut}", number)
    with pytest.raises(ProviderUnavailable):
        side.hand_over()
    assert (side.uploaded, house.printed) == (False, [])
    side.hand_over()
    again = [LETTERS[number - 1]] if cut == "before" else []
    assert sorted(_sent(house)) == sorted([*LETTERS, *again])
    assert house.printed == LETTERS


def test_an_answer_that_is_lost_at_the_end_prints_nothing_twice(remote: HttpRemote) -> None:
    side = Side(remote)
    remote.house.lose_complete = True
    with pytest.raises(ProviderUnavailable):
        side.hand_over()
    for _ in range(2):
        side.hand_over()
    assert remote.house.printed == LETTERS
    assert sum(path.endswith("/complete") for _, path in remote.house.calls) == 1


def _answer(house: House, method: str, end: str, status: int, body: bytes = b"", **headers: str) -> None:
    house.answers[method, end] = (status, body, headers)


def test_a_letter_that_is_there_already_is_a_success_only_with_the_same_content(remote: HttpRemote) -> None:
    remote.provider().upload(PARCEL, DATA)
    held = _batch(remote.house).digests()[LETTERS[1]]
    del _batch(remote.house).parts[LETTERS[1]]
    _answer(remote.house, "PUT", LETTERS[1], 409, b'{"sha256":"%s"}' % (b"0" * 64))
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().upload(PARCEL, DATA)
    assert refused.value.code == "REMOTE_DIFFERS"
    _answer(remote.house, "PUT", LETTERS[1], 409, b'{"sha256":"%s"}' % held.encode())
    # It says that it has it, and still does not list it: not taken for whole.
    with pytest.raises(ProviderUnavailable):
        remote.provider().upload(PARCEL, DATA)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 404])
@pytest.mark.parametrize(("method", "end"), [("GET", NAME), ("PUT", NAME), ("PUT", LETTERS[2]), ("POST", "/complete")])
def test_who_is_busy_or_away_is_asked_again(remote: HttpRemote, status: int, method: str, end: str) -> None:
    side = Side(remote)
    _answer(remote.house, method, end, status, b"<html>")
    with pytest.raises(ProviderUnavailable):
        side.hand_over()
    remote.house.answers.clear()
    side.hand_over()
    assert remote.house.printed == LETTERS


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"code":"ADDRESS_INVALID"}', "ADDRESS_INVALID"), (b'{"code":"Mevr. Peeters"}', "HTTP 422"), (b"?", "HTTP 422")],
)
def test_a_letter_that_is_refused_stops_its_batch_and_says_which_and_why(
    remote: HttpRemote, body: bytes, code: str
) -> None:
    side = Side(remote)
    _answer(remote.house, "PUT", LETTERS[2], 422, body)
    with pytest.raises(ProviderRefused) as refused:
        side.hand_over()
    assert refused.value.code == "LETTER_REFUSED"
    assert f"{LETTERS[2]} ({code})" in refused.value.detail
    assert (side.uploaded, remote.house.printed) == (False, [])


def test_an_answer_of_something_in_between_is_none(remote: HttpRemote) -> None:
    for body in (b"<html>", b"[]", b'{"state":"gone"}', b"\xff"):
        _answer(remote.house, "GET", NAME, 200, body)
        with pytest.raises(ProviderUnavailable):
            remote.provider().state(PARCEL)


def test_it_is_not_sent_elsewhere(remote: HttpRemote) -> None:
    _answer(remote.house, "GET", NAME, 307, Location=f"{remote.url}/elsewhere")
    with pytest.raises(ProviderRefused) as refused:
        remote.provider().upload(PARCEL, DATA)
    assert refused.value.code == "ANSWER_UNKNOWN"
    assert [path for _, path in remote.house.calls] == [f"batches/{NAME}"]


def test_who_is_not_let_in_says_so_without_the_token(remote: HttpRemote) -> None:
    for status in (401, 403):
        _answer(remote.house, "GET", NAME, status)
        with pytest.raises(ProviderRefused) as refused:
            remote.provider().state(PARCEL)
        assert refused.value.code == "LOGIN_REFUSED"
        assert TOKEN not in str(refused.value)


def test_a_parcel_that_is_no_batch_is_not_sent_as_one(remote: HttpRemote) -> None:
    for data in (DATA[:-100], b"PK", DATA.replace(b"let_3", b"let_9", 1)[:-1]):
        with pytest.raises(ProviderRefused) as refused:
            remote.provider().upload(Parcel(NAME, len(data), hashlib.sha256(data).hexdigest()), data)
        assert refused.value.code == "PARCEL_UNREADABLE"
    assert {method for method, _ in remote.house.calls} == {"GET"}


def test_what_was_announced_by_another_freeze_is_announced_anew(remote: HttpRemote) -> None:
    remote.house.batches[NAME] = Batch("0" * 64, {"letters/let_0-1": "1" * 64}, parts={"letters/let_0-1": b"old"})
    assert remote.provider().state(PARCEL).kind is RemoteKind.PARTIAL
    remote.provider().upload(PARCEL, DATA)
    assert _batch(remote.house).announced == _batch(remote.house).digests()
    assert list(_batch(remote.house).letters) == LETTERS


def test_the_guard_of_calls_is_asked_where_they_go(remote: HttpRemote) -> None:
    from printing.providers.http import HttpProvider

    def provider(*trusted: str) -> PrintProvider:
        return HttpProvider(remote.url, TOKEN, lambda: http_client(trusted), seconds=3)

    with pytest.raises(ProviderUnavailable):
        provider().state(PARCEL)
    assert remote.house.calls == []
    assert provider("127.0.0.1").state(PARCEL).kind is RemoteKind.ABSENT
