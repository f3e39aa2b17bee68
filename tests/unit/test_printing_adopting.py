import pytest

from printing.adopting import differs

ADDRESS = ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12 bus 3", "9999 Voorbeeldegem")


@pytest.mark.parametrize(
    "shown",
    [
        ADDRESS,
        (
            "Mevrouw ANAIS VOORBEELD",
            "TAV PERSONEELSDIENST".replace("TAV", "T.A.V."),
            "ST JANSSTR. 12 BTE 3",
            "9999 VOORBEELDEGEM",
        ),
        ("Anaïs  Voorbeeld", "", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12/3", "B-9999 Voorbeeldegem", "BELGIË"),
        ("Mevr. Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat bus 3, 12", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12, bte3", "9999 Voorbeeldegem"),
    ],
)
def test_the_same_address_written_otherwise_is_taken(shown: tuple[str, ...]) -> None:
    assert differs(shown, ADDRESS) is None


@pytest.mark.parametrize(
    "shown",
    [
        (),
        ("",),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12 bus 4", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 123", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 3 bus 12", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeelde", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12 bus 3", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "Sint-Jansstraat 12 bus 3", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Janslaan 12 bus 3", "9999 Voorbeeldegem"),
        ("Anaïs Voorbeeld", "t.a.v. Personeelsdienst", "Sint-Jansstraat 12 bus 3", "9998 Voorbeeldegem"),
        (*ADDRESS, "NEDERLAND"),
    ],
)
def test_another_address_is_a_problem_that_repeats_nothing_of_it(shown: tuple[str, ...]) -> None:
    problem = differs(shown, ADDRESS)
    assert problem is not None
    assert (problem.code, problem.page) == ("ADDR_DIFFERS", 1)
    assert "Voorbeeld" not in problem.detail


def test_short_forms_of_street_types_are_the_same_in_french_and_german() -> None:
    assert (
        differs(
            ("M. Luc Exemple", "Av. de la Paix 1", "9999 Exemple"),
            ("Luc Exemple", "Avenue de la Paix 1", "9999 Exemple"),
        )
        is None
    )
    assert (
        differs(
            ("Herr Karl Beispiel", "Bahnhofstr. 1", "9999 Beispiel"),
            ("Karl Beispiel", "Bahnhofstraße 1", "9999 Beispiel"),
        )
        is None
    )


def test_a_word_inside_a_name_is_no_title() -> None:
    rest = ("Kerkstraat 1", "9999 Voorbeeldegem")
    assert differs(("Jan De Smet", *rest), ("Jan Smet", *rest)) is not None
