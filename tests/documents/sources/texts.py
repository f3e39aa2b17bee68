"""The words of the letters that LibreOffice sets; every person, service and number in them is invented."""

from tests.documents.sources.writer import document, field, heading, paragraph, table

_ADDRESS_NL = "De heer Wannes Verzonnen-Peeters\nMolenweg 8 bus 12\n9999 VOORBEELDEGEM"
_ADDRESS_FR = "Monsieur Anatole Imaginaire\nRue du Moulin 8 bte 12\n9998 MODÈLEVILLE"


def _letter(language: str, sender: tuple[str, str], address: str, title: str, body: list[str]) -> str:
    service, unit = sender
    opening = [paragraph(service, "Service"), paragraph(unit, "Unit"), paragraph(address, "Address"), heading(title)]
    return document(language, title, [*opening, *body])


def permit_nl() -> str:
    """A building permit: one page."""
    return _letter(
        "nl",
        (
            "Gemeente Voorbeeldegem",
            "Dienst Omgeving · Marktplein 1 · 9999 Voorbeeldegem · omgeving@voorbeeldegem.invalid",
        ),
        _ADDRESS_NL,
        "Beslissing over uw omgevingsvergunning",
        [
            paragraph("Voorbeeldegem, 23 november 2026\nOns kenmerk: OMV/2026/0312"),
            paragraph("Geachte heer Verzonnen-Peeters,"),
            paragraph(
                "U hebt op 4 september 2026 een vergunning gevraagd om achter uw woning een tuinberging te bouwen. "
                "Het college van burgemeester en schepenen heeft uw aanvraag op 16 november 2026 onderzocht en "
                "verleent de vergunning onder de voorwaarden hieronder."
            ),
            table(
                [
                    ["Voorwaarde", "Waarom"],
                    ["De berging is hoogstens 3,2 meter hoog.", "Stedenbouwkundige verordening, artikel 14"],
                    ["Het regenwater loopt naar een infiltratieput.", "Hemelwaterverordening"],
                    ["De haag langs de noordkant blijft staan.", "Advies van de groendienst"],
                ]
            ),
            heading("Wanneer mag u beginnen?"),
            paragraph(
                "U mag beginnen vanaf de zesendertigste dag nadat u de beslissing hebt uitgehangen, tenzij iemand "
                "beroep aantekent. Meld de start van de werken aan de dienst Omgeving."
            ),
            heading("Niet akkoord?"),
            paragraph(
                "U kunt binnen dertig dagen na de dag waarop u deze brief ontvangt beroep instellen bij de deputatie. "
                "Leg in uw beroepschrift uit met welk deel van de beslissing u het niet eens bent."
            ),
            paragraph("Met vriendelijke groeten,"),
            paragraph(
                "Namens het college\nGodelieve Van den Voorbeelde, schepen\nJoris Denkbeeldig, algemeen directeur"
            ),
        ],
    )


def summons_fr() -> str:
    """An invitation to a hearing: one page; the file list is attached."""
    return _letter(
        "fr",
        (
            "Commune de Modèleville",
            "Service des Affaires sociales · Grand-Place 3 · 9998 Modèleville · social@modeleville.invalid",
        ),
        _ADDRESS_FR,
        "Convocation à une audition",
        [
            paragraph("Modèleville, le 23 novembre 2026\nNos références : AS/2026/88"),
            paragraph("Monsieur,"),
            paragraph(
                "Votre demande d'allocation de chauffage sera examinée le mardi 15 décembre 2026 à 10 h 30, à la "
                "maison communale, salle 2. Vous pouvez y être entendu et vous faire assister par la "
                "personne de votre choix."
            ),
            paragraph(
                "La liste des pièces de votre dossier est jointe à ce document. Vous pouvez consulter le dossier "
                "jusqu'à la veille de l'audition, chaque jour ouvrable de 9 à 12 heures."
            ),
            paragraph("Veuillez agréer, Monsieur, l'expression de nos salutations distinguées."),
            paragraph("Pour le Collège\nCharlemagne Fictif, échevin des Affaires sociales"),
        ],
    )


def form_fr() -> str:
    """A change-of-address form with three text fields."""
    fields = [
        field("Nom et prénom", "nom"),
        field("Nouvelle adresse", "adresse"),
        field("À partir du", "date"),
    ]
    title = "Déclaration de changement d'adresse"
    body = [
        paragraph("Commune de Modèleville", "Service"),
        paragraph("Service Population · Grand-Place 3 · 9998 Modèleville", "Unit"),
        heading(title),
        paragraph("Complétez les champs ci-dessous et renvoyez ce formulaire dans les huit jours ouvrables."),
        *(shown for _, shown in fields),
        paragraph("Je déclare que ces renseignements sont exacts."),
    ]
    return document("fr", title, body, controls=[control for control, _ in fields])


_THEMES = (
    ("Mobiliteit", "de fietsverbinding langs de oude spoorweg", "het aantal fietsers op de telpunten"),
    ("Wonen", "de woonpunten in de deelgemeenten", "de wachttijd voor een sociale woning"),
    ("Onderwijs", "de samenwerking met de basisscholen", "het aantal plaatsen in de opvang"),
    ("Zorg", "het lokaal dienstencentrum", "het aantal maaltijden aan huis"),
    ("Klimaat", "de renovatie van het gemeentehuis", "het verbruik van de gemeentelijke gebouwen"),
    ("Veiligheid", "de heraanleg van de kruispunten", "het aantal letselongevallen"),
)
_PAGES = 60


def annual_report_nl() -> str:
    """A report of sixty pages: a title page and one subject per page."""
    title = "Jaarverslag 2025 van de gemeente Voorbeeldegem"
    body = [
        paragraph("Gemeente Voorbeeldegem", "Service"),
        paragraph("Goedgekeurd door de gemeenteraad in zitting van 29 juni 2026", "Unit"),
        heading(title),
        paragraph("Dit verslag beschrijft per thema wat de gemeente in 2025 deed, wat het kostte en wat het opbracht."),
    ]
    for number in range(1, _PAGES):
        theme, work, measure = _THEMES[number % len(_THEMES)]
        spent, planned = 12_400 + 731 * number, 13_000 + 700 * number
        body += [
            heading(f"{number}. {theme}: actie {number}", "Chapter"),
            paragraph(
                f"In het kader van het thema {theme.lower()} werkte de gemeente in 2025 verder aan {work}. De raad "
                f"volgt het resultaat op aan de hand van {measure}. De actie kreeg nummer {number} in het "
                "meerjarenplan."
            ),
            table(
                [
                    ["Post", "Voorzien (EUR)", "Besteed (EUR)"],
                    ["Werking", f"{planned}", f"{spent}"],
                    ["Personeel", f"{planned * 2}", f"{spent * 2 - 450}"],
                    ["Investering", f"{planned * 3}", f"{spent * 3 + 1_200}"],
                ]
            ),
            paragraph(
                "Het college stelt voor om de actie in 2026 ongewijzigd voort te zetten. De opmerkingen van de "
                "adviesraad zijn als bijlage bij het meerjarenplan gevoegd."
            ),
        ]
    return document("nl", title, body)


def attest_nl() -> dict[str, object]:
    """Words for the typesetter: an attestation of residence."""
    return {
        "lang": "nl",
        "title": "Attest van woonst",
        "office": "Gemeente Voorbeeldegem · Dienst Bevolking",
        "body": [
            "De ambtenaar verklaart dat de persoon hieronder in het bevolkingsregister is ingeschreven.",
            "Dit attest werd op aanvraag uitgereikt en geldt zes maanden.",
        ],
        "table": [
            ["Naam", "Wannes Verzonnen-Peeters"],
            ["Adres", "Molenweg 8 bus 12, 9999 Voorbeeldegem"],
            ["Sinds", "1 maart 2019"],
        ],
        "fictional": "Fictief document, gemaakt om Zending te beproeven. Personen, diensten en nummers zijn verzonnen.",
    }


def attest_de() -> dict[str, object]:
    """The same in German, with its data attached."""
    return {
        "lang": "de",
        "title": "Wohnsitzbescheinigung",
        "office": "Gemeinde Musterweiler · Bevölkerungsdienst",
        "body": [
            "Die Standesbeamtin bescheinigt, dass die unten genannte Person im Bevölkerungsregister eingetragen ist.",
            "Diese Bescheinigung wurde auf Antrag ausgestellt und gilt sechs Monate.",
        ],
        "table": [
            ["Name", "Jürgen Erfunden"],
            ["Anschrift", "Mühlenweg 8, 9997 Musterweiler"],
            ["Seit", "1. März 2019"],
        ],
        "fictional": "Fiktives Dokument, um Zending zu erproben. Personen, Dienststellen und Nummern sind erfunden.",
        "attached": "<?xml version='1.0'?><wohnsitz seit='2019-03-01'><ort>Musterweiler</ort></wohnsitz>",
    }
