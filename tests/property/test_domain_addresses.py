"""What holds for every address: what passes the check can be printed as the post wants it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.addresses import MAX_LINE, PostalAddress, check, lines
from service.domain.countries import COUNTRIES

words = st.text(st.characters(codec="latin-1"), max_size=45) | st.from_regex(r"[A-Za-z0-9 '-]{1,40}", fullmatch=True)
addresses = st.builds(
    PostalAddress,
    name=words,
    street=words,
    number=st.none() | st.from_regex(r"[0-9]{1,3}[A-Z]?", fullmatch=True) | words,
    box=st.none() | st.from_regex(r"(bus )?[0-9]{1,3}", fullmatch=True) | words,
    postcode=st.from_regex(r"[1-9][0-9]{3}", fullmatch=True) | words,
    municipality=st.sampled_from(("Gent", "Liège", "Sint-Niklaas")) | words,
    country=st.just("BE") | st.sampled_from(sorted(COUNTRIES)),
    attention_of=st.none() | words,
)


@settings(deadline=None)
@given(addresses)
def test_an_address_that_passes_is_printed_as_the_post_wants_it(address: PostalAddress) -> None:
    printed = lines(address)
    if not check(address):
        assert 3 <= len(printed) <= 7
        for line in printed:
            assert line == " ".join(line.split()) != ""
            assert len(line) <= MAX_LINE
            assert not set(line) & set('#&§"()')
        assert (printed[-1] == COUNTRIES[address.country]) is (address.country != "BE")


@settings(deadline=None)
@given(addresses)
def test_what_is_wrong_is_told_without_repeating_it(address: PostalAddress) -> None:
    for error in check(address):
        assert error.code.startswith("ADDR_")
        assert error.pointer is not None
        assert error.pointer.startswith(("/postal_address/", "/attention_of"))
