"""The words of every notice in every language. No link, no subject of a document, no content."""

import re
from dataclasses import dataclass

from babel.dates import format_date

from service.notifications.base import ActivationCode, Language, MailArrived, SignatureAsked, What

_MAX_NAME = 120
_LINK_LIKE = re.compile(r"://|\bwww\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text:
    """A message's subject line and its plain text."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class _Words:
    """One language. ``{sender}``, ``{code}``, ``{minutes}`` and ``{service}`` are filled in."""

    arrived_subject: str
    arrived_from: str
    arrived: str
    registered: str
    offered: str
    offered_subject: str
    reminder_registered_subject: str
    reminder_subject: str
    reminder: str
    last_day: str
    where: str
    sign_subject: str
    sign_from: str
    sign: str
    sign_where: str
    warning: str
    code_subject: str
    code: str
    code_warning: str
    closing: str


_WORDS: dict[Language, _Words] = {
    Language.NL: _Words(
        arrived_subject="Er is officiële post voor u",
        arrived_from="Er is een officieel document voor u aangekomen van {sender}.",
        arrived="Er is een officieel document voor u aangekomen.",
        registered="Het is een aangetekende zending. Er kan een termijn lopen: wacht niet te lang.",
        offered=(
            "Het is een aangetekende zending. U beslist of u ze aanvaardt of weigert; dat kan maar een beperkte tijd."
        ),
        offered_subject="Er wacht een aangetekende zending op u",
        reminder_registered_subject="Herinnering: er wacht een aangetekende zending op u",
        reminder_subject="Herinnering: er wacht officiële post op u",
        reminder="Dit is een herinnering: u hebt er nog niets mee gedaan.",
        last_day="U kunt dit doen tot en met {day}.",
        where="Ga naar uw e-mailbox zoals u dat gewoonlijk doet om het te lezen.",
        sign_subject="Er wacht een document op uw handtekening",
        sign_from="{sender} vraagt u een document te ondertekenen.",
        sign="U wordt gevraagd een document te ondertekenen.",
        sign_where="Meld u aan in uw e-mailbox zoals u dat gewoonlijk doet: daar leest u het, tekent u of weigert u.",
        warning=(
            "Let op voor valse berichten: wij zetten nooit een link in onze e-mails en vragen er nooit om codes,\n"
            "wachtwoorden of een betaling. Staat er toch een link in een bericht dat van ons lijkt te komen,\n"
            "open die dan niet."
        ),
        code_subject="Uw bevestigingscode",
        code=(
            "Uw code is {code}\n\n"
            "Vul deze code in op de pagina waar u uw e-mailadres opgaf. De code blijft {minutes} minuten geldig."
        ),
        code_warning=(
            "Geef deze code aan niemand door, ook niet aan de telefoon.\n"
            "Hebt u geen code gevraagd? Dan hoeft u niets te doen."
        ),
        closing="{service}\nDit bericht is automatisch verstuurd. U kunt er niet op antwoorden.",
    ),
    Language.FR: _Words(
        arrived_subject="Vous avez reçu du courrier officiel",
        arrived_from="Un document officiel de {sender} est arrivé pour vous.",
        arrived="Un document officiel est arrivé pour vous.",
        registered="Il s'agit d'un envoi recommandé. Un délai peut courir : n'attendez pas trop longtemps.",
        offered=(
            "Il s'agit d'un envoi recommandé. Vous décidez de l'accepter ou de le refuser ; "
            "le temps pour le faire est limité."
        ),
        offered_subject="Un envoi recommandé vous attend",
        reminder_registered_subject="Rappel : un envoi recommandé vous attend",
        reminder_subject="Rappel : du courrier officiel vous attend",
        reminder="Ceci est un rappel : vous n'avez encore rien fait.",
        last_day="Vous pouvez le faire jusqu'au {day} inclus.",
        where="Pour le lire, rendez-vous dans votre boîte aux lettres électronique comme vous le faites d'habitude.",
        sign_subject="Un document attend votre signature",
        sign_from="{sender} vous demande de signer un document.",
        sign="Il vous est demandé de signer un document.",
        sign_where=(
            "Connectez-vous à votre boîte aux lettres électronique comme vous le faites d'habitude :\n"
            "vous pouvez l'y lire, le signer ou refuser."
        ),
        warning=(
            "Attention aux faux messages : nous ne mettons jamais de lien dans nos e-mails et n'y demandons jamais de\n"
            "code, de mot de passe ni de paiement. Si un message qui semble venir de nous contient un lien,\n"
            "ne l'ouvrez pas."
        ),
        code_subject="Votre code de confirmation",
        code=(
            "Votre code est {code}\n\n"
            "Introduisez ce code sur la page où vous avez indiqué votre adresse e-mail. "
            "Il reste valable {minutes} minutes."
        ),
        code_warning=(
            "Ne communiquez ce code à personne, pas même par téléphone.\n"
            "Vous n'avez pas demandé de code ? Vous ne devez rien faire."
        ),
        closing="{service}\nCe message a été envoyé automatiquement. Il n'est pas possible d'y répondre.",
    ),
    Language.DE: _Words(
        arrived_subject="Amtliche Post für Sie",
        arrived_from="Für Sie ist ein amtliches Dokument eingegangen. Absender: {sender}.",
        arrived="Für Sie ist ein amtliches Dokument eingegangen.",
        registered="Es handelt sich um ein Einschreiben. Es kann eine Frist laufen: Warten Sie nicht zu lange.",
        offered=(
            "Es handelt sich um ein Einschreiben. Sie entscheiden, ob Sie es annehmen oder "
            "ablehnen; die Zeit dafür ist begrenzt."
        ),
        offered_subject="Ein Einschreiben wartet auf Sie",
        reminder_registered_subject="Erinnerung: Ein Einschreiben wartet auf Sie",
        reminder_subject="Erinnerung: Amtliche Post wartet auf Sie",
        reminder="Dies ist eine Erinnerung: Sie haben noch nichts unternommen.",
        last_day="Sie können das bis einschließlich {day} tun.",
        where="Um es zu lesen, gehen Sie zu Ihrem elektronischen Postfach, so wie Sie es gewöhnlich tun.",
        sign_subject="Ein Dokument wartet auf Ihre Unterschrift",
        sign_from="Sie werden gebeten, ein Dokument zu unterschreiben. Absender: {sender}.",
        sign="Sie werden gebeten, ein Dokument zu unterschreiben.",
        sign_where=(
            "Melden Sie sich bei Ihrem elektronischen Postfach an, so wie Sie es gewöhnlich tun:\n"
            "Dort können Sie es lesen, unterschreiben oder ablehnen."
        ),
        warning=(
            "Vorsicht vor falschen Nachrichten: Unsere E-Mails enthalten nie einen Link und fragen nie nach Codes,\n"
            "Passwörtern oder einer Zahlung. Enthält eine Nachricht, die von uns zu kommen scheint, doch einen Link,\n"
            "öffnen Sie ihn nicht."
        ),
        code_subject="Ihr Bestätigungscode",
        code=(
            "Ihr Code lautet {code}\n\n"
            "Geben Sie diesen Code auf der Seite ein, auf der Sie Ihre E-Mail-Adresse angegeben haben. "
            "Er ist {minutes} Minuten gültig."
        ),
        code_warning=(
            "Geben Sie diesen Code an niemanden weiter, auch nicht am Telefon.\n"
            "Sie haben keinen Code angefordert? Dann brauchen Sie nichts zu tun."
        ),
        closing="{service}\nDiese Nachricht wurde automatisch versandt. Sie können nicht darauf antworten.",
    ),
    Language.EN: _Words(
        arrived_subject="You have official mail",
        arrived_from="An official document has arrived for you from {sender}.",
        arrived="An official document has arrived for you.",
        registered="It is registered mail. A term may be running: do not wait too long.",
        offered=("It is registered mail. You decide whether to accept or refuse it; the time to do so is limited."),
        offered_subject="Registered mail waits for you",
        reminder_registered_subject="Reminder: registered mail waits for you",
        reminder_subject="Reminder: official mail waits for you",
        reminder="This is a reminder: you have not done anything with it yet.",
        last_day="You can do so until {day} inclusive.",
        where="To read it, go to your e-mailbox the way you usually do.",
        sign_subject="A document waits for your signature",
        sign_from="{sender} asks you to sign a document.",
        sign="You are asked to sign a document.",
        sign_where="Log in to your e-mailbox the way you usually do: there you can read it, sign it or refuse.",
        warning=(
            "Beware of false messages: we never put a link in our e-mails and never ask in them for codes,\n"
            "passwords or a payment. If a message that seems to come from us does hold a link, do not open it."
        ),
        code_subject="Your confirmation code",
        code=(
            "Your code is {code}\n\n"
            "Enter this code on the page where you gave your e-mail address. It stays valid for {minutes} minutes."
        ),
        code_warning=(
            "Give this code to nobody, not even on the telephone.\n"
            "You did not ask for a code? Then there is nothing you need to do."
        ),
        closing="{service}\nThis message was sent automatically. You cannot reply to it.",
    ),
}


def compose(what: What, language: Language, *, service: str) -> Text:
    """Write a notice.

    Args:
        what: what happened.
        language: of the person.
        service: the service's name, which signs the message.
    """
    words = _WORDS[language]
    if isinstance(what, ActivationCode):
        subject = words.code_subject
        parts = [words.code.format(code=what.code, minutes=what.minutes), words.code_warning]
    elif isinstance(what, SignatureAsked):
        subject = words.sign_subject
        sender = _unlinked(what.sender)
        parts = [words.sign_from.format(sender=sender) if sender else words.sign, words.sign_where, words.warning]
    else:
        subject = words.offered_subject if what.offered else words.arrived_subject
        sender = _unlinked(what.sender or "")
        arrived = words.arrived_from.format(sender=sender) if sender else words.arrived
        if what.reminder:
            subject = words.reminder_registered_subject if what.registered else words.reminder_subject
        parts = [*_about(what, arrived, words, language), words.where, words.warning]
    parts.append(words.closing.format(service=one_line(service)))
    return Text(subject, "\n\n".join(parts) + "\n")


def _about(what: MailArrived, arrived: str, words: _Words, language: Language) -> list[str]:
    """What arrived, what kind of mail it is, and how long there is time."""
    parts = [arrived]
    if what.registered:
        parts.append(words.offered if what.offered else words.registered)
    if what.reminder:
        parts.append(words.reminder)
    if what.last_day is not None:
        parts.append(words.last_day.format(day=format_date(what.last_day, "long", locale=language.value)))
    return parts


def _unlinked(sender: str) -> str:
    """A name as it can be said; nothing of one that looks like a link."""
    sender = one_line(sender)
    # Mail programs would make a link of it, and we say that we never send one.
    return "" if _LINK_LIKE.search(sender) else sender


def one_line(name: str) -> str:
    """Make a name safe to stand in a sentence: one line, no control characters, at most 120 characters."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:_MAX_NAME]
