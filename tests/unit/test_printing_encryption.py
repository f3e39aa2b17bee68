"""Parcels that only their print house can open."""

import pytest
from pyrage import x25519

from printing.encryption import check_recipients, is_sealed, name_open, name_sealed, open_with, seal_for
from printing.errors import BatchRefused

HOUSE = x25519.Identity.generate()
SPARE = x25519.Identity.generate()
STRANGER = x25519.Identity.generate()
DATA = bytes(range(256)) * 300


def test_each_recipient_can_open_it_and_nobody_else() -> None:
    sealed = seal_for([str(HOUSE.to_public()), str(SPARE.to_public())], DATA)
    assert is_sealed(sealed)
    assert not is_sealed(DATA)
    assert DATA[:64] not in sealed
    assert open_with(str(HOUSE), sealed) == open_with(str(SPARE), sealed) == DATA
    with pytest.raises(BatchRefused) as refused:
        open_with(str(STRANGER), sealed)
    assert refused.value.code == "PARCEL_UNOPENABLE"


def test_a_key_file_is_read_with_its_comments() -> None:
    sealed = seal_for([str(SPARE.to_public())], DATA)
    text = f"# created: 2026-11-28\n# public key: {HOUSE.to_public()}\n{HOUSE}\n\n{SPARE}\n"
    assert open_with(text, sealed) == DATA


@pytest.mark.parametrize("place", [0, 30, -1, -40_000])
def test_a_changed_byte_makes_it_unreadable(place: int) -> None:
    sealed = bytearray(seal_for([str(HOUSE.to_public())], DATA))
    sealed[place] ^= 1
    with pytest.raises(BatchRefused):
        open_with(str(HOUSE), bytes(sealed))


def test_a_cut_parcel_is_not_half_a_parcel() -> None:
    sealed = seal_for([str(HOUSE.to_public())], DATA)
    for cut in (len(sealed) - 1, 65_536, 200, 0):
        with pytest.raises(BatchRefused):
            open_with(str(HOUSE), sealed[:cut])


def test_sealing_the_same_again_gives_other_bytes() -> None:
    assert seal_for([str(HOUSE.to_public())], DATA) != seal_for([str(HOUSE.to_public())], DATA)


@pytest.mark.parametrize(
    "recipients",
    [
        [],
        ["age1"],
        ["ssh-ed25519 AAAA"],
        [str(HOUSE.to_public()), str(HOUSE.to_public())],
        [str(HOUSE.to_public())[:-1] + "0"],
        [str(HOUSE)],
    ],
)
def test_recipients_that_are_none_are_refused_and_never_shown(recipients: list[str]) -> None:
    with pytest.raises(ValueError, match="recipient") as refused:
        check_recipients(recipients)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "identity",
    ["", "# only a comment", "AGE-SECRET-KEY-1", str(HOUSE.to_public())],
    ids=["nothing", "a comment", "cut off", "the public one"],
)
def test_a_key_that_is_none_is_refused(identity: str) -> None:
    with pytest.raises(ValueError, match="key of age"):
        open_with(identity, b"")


def test_names_tell_what_is_encrypted() -> None:
    name = "PRT_0100_VOORBEEL_0000000001_261123175001_0RQ.ZIP"
    assert name_sealed(name) == name + ".age"
    assert name_open(name_sealed(name)) == name_open(name) == name
