"""What operators of print do, in plain words: each act with what follows, why letters wait, what stood in the way."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from service.domain.errors import ZendingError
from service.portal.languages import N_, Words
from service.portal.wording import Wording

FREE, WORD, NONE = "free", "word", ""
"""How an act is given its reason: in free words, by a word of a list, not at all."""


@dataclass(frozen=True, slots=True)
class Act:
    """An act and the sentences around it.

    Attributes:
        name: on the list of acts.
        ask: the question before it is done.
        then: what follows.
        yes: the button.
        done: the sentence afterwards, with how many.
        reason: ``FREE``, ``WORD`` or ``NONE``.
        final: it can't be taken back.
    """

    name: str
    ask: str
    then: str
    yes: str
    done: str
    reason: str = NONE
    final: bool = False


ACTS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        "hold": Act(
            N_("Hold back"),
            N_("Hold these letters back?"),
            N_("They stay out of every run until somebody lets them go on. For letters that wait."),
            N_("Yes, hold them back"),
            N_("Letters held back: %(count)s."),
            FREE,
        ),
        "release": Act(
            N_("Let go on"),
            N_("Let these letters go on?"),
            N_("They go with the next run."),
            N_("Yes, let them go on"),
            N_("Letters that go on: %(count)s."),
        ),
        "reprint": Act(
            N_("Print again"),
            N_("Print these letters again?"),
            N_(
                "The same copies go with the next run. What the print house still has of them, and did not reject, is "
                "taken out there."
            ),
            N_("Yes, print them again"),
            N_("Letters that are printed again: %(count)s. Those that waited for it already stay as they are."),
            WORD,
        ),
        "pull": Act(
            N_("Have taken out"),
            N_("Have these letters taken out?"),
            N_(
                "The print house is told within a minute and says which it could still take out. Those are then "
                "undeliverable; nobody brings them."
            ),
            N_("Yes, have them taken out"),
            N_("Lists to the print houses: %(count)s. Letters that were on one already stay on it."),
            FREE,
            final=True,
        ),
        "give-up": Act(
            N_("Give up"),
            N_("Give these letters up?"),
            N_(
                "For letters that the print house will not print: they end as undeliverable, with proof, and their "
                "senders see it. You can't undo this. To stop a letter that it could still print, have it taken out."
            ),
            N_("Yes, give them up"),
            N_("Letters given up: %(count)s."),
            final=True,
        ),
    }
)
"""What is done to letters, by the words of the commands and calls."""

OTHERS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        "close": Act(
            "",
            N_("Close what waits now?"),
            N_("Everything that waits and is not held becomes batches, and they go to the print houses at once."),
            N_("Yes, close now"),
            N_("Batches closed: %(count)s."),
        ),
        "move": Act(
            "",
            N_("Have these letters printed elsewhere?"),
            N_(
                "What waits goes to the other print house now, as far as it has room today. Letters that are held one "
                "by one stay."
            ),
            N_("Yes, move them"),
            N_("Letters moved: %(count)s."),
        ),
        "hold_batch": Act(
            "",
            N_("Hold this batch back?"),
            N_("It is not handed over until somebody lets it go on."),
            N_("Yes, hold it back"),
            N_("The batch is held back."),
            FREE,
        ),
        "release_batch": Act(
            "",
            N_("Let this batch go on?"),
            N_("It is handed over to the print house at once."),
            N_("Yes, let it go on"),
            N_("The batch goes on."),
        ),
        "hold_product": Act(
            "",
            N_("Hold this product back?"),
            N_("Its cut-offs pass, and its letters wait until somebody lets them go on."),
            N_("Yes, hold it back"),
            N_("The product is held back."),
            FREE,
        ),
        "release_product": Act(
            "",
            N_("Let this product go on?"),
            N_("Its letters go with the next run."),
            N_("Yes, let it go on"),
            N_("The product goes on."),
        ),
        "choose": Act("", "", "", "", N_("The choice holds for what is handed in from now on.")),
        "proof": Act(
            "",
            N_("Order a proof print?"),
            N_(
                "The print house prints the letter once, to be looked at. It is never posted, and nothing changes for "
                "the delivery."
            ),
            N_("Yes, order it"),
            N_("The proof is with the print house."),
        ),
        "proof_running": Act(
            "", "", "", "", N_("This proof was ordered already, and is being brought to the print house.")
        ),
    }
)
"""What is done to all that waits, to batches, products and deliveries."""

REPRINT_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lost": N_("It was lost."),
        "damaged": N_("It was damaged."),
        "misprinted": N_("It was printed wrong."),
        "pulled": N_("It was taken out."),
        "rejected": N_("The print house rejected it."),
    }
)

WAITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unprinted": N_("No print house offers it any more"),
        "held": N_("Held back by an operator"),
        "left": N_("The print houses were full"),
    }
)
"""Why letters wait for more than their next cut-off."""

PULLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ordered": N_("to be taken out"),
        "taken_out": N_("taken out"),
        "too_late": N_("too late to be taken out"),
    }
)

PROBLEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reason_missing": N_("Say why, in at most 200 characters."),
        "reason_unknown": N_("Choose a reason."),
        "letter_unknown": N_("Name letters that are there, as manifests name them: dlv_…-1."),
        "letter_not_waiting": N_("A letter does not wait any more: it is in a batch."),
        "list_too_long": N_("These are too many letters at once."),
        "not_with_the_print_house": N_("A letter is not with a print house, or the post has it already."),
        "reprint_refused": N_("A letter is not with a print house, has come to its end, or its copy is gone."),
        "proof_refused": N_(
            "The delivery has no letter now, or one with a number of the post: no second paper may bear it."
        ),
        "proof_not_sent": N_("The proof could not be brought to the print house. Somebody must look at what it has."),
        "print_provider_unavailable": N_("The print house can't be reached. Try again later."),
        "batch_fixed": N_("The batch is with the print house, or on its way there."),
        "held_already": N_("It is held back already."),
        "not_held": N_("It is not held back."),
        "product_held": N_("The other print house's product is held back."),
        "product_not_offered": N_("The two print houses do not both offer that."),
        "printers_same": N_("Choose two different print houses."),
        "run_under_way": N_("A run is being planned. Try again in a moment."),
        "printer_missing": N_("Choose the print house."),
        "file_too_big": N_("The file is larger than a print house's files may be."),
        "list_malformed": N_("A line of the list can't be read: letter, cause, day."),
        "cause_unknown": N_("A cause is one of M01 to M08 and F01 to F03."),
        "not_found": N_("There is nothing by this name."),
        "choice_unknown": N_("Choose one of the words."),
        "file_missing": N_("Choose a file."),
        "act_missing": N_("Choose what to do."),
        "day_malformed": N_("This is not a day."),
    }
)
"""What stands in the way of an act."""

_LETTER: Final = re.compile(r"dlv_[0-9a-f]{32}-[0-9]+")


class PrintWords:
    """The tables in one language."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def say(self, message: str, **values: object) -> str:
        """A sentence of an act."""
        return self._words.gettext(message) % values if values else self._words.gettext(message)

    def why(self, code: str) -> str:
        """Why letters wait."""
        return self._words.gettext(WAITS.get(code, code))

    def pull(self, code: str) -> str:
        """What became of a wish to take a letter out."""
        return self._words.gettext(PULLS.get(code, code))

    def reasons(self) -> list[tuple[str, str]]:
        """Why a letter is printed again, to choose from."""
        return [(code, self._words.gettext(text)) for code, text in REPRINT_REASONS.items()]

    def problem(self, error: ZendingError) -> str:
        """What stood in the way, and at which letter."""
        if error.code not in PROBLEMS:
            return Wording(self._words).problem(error.code, error.detail)
        named = _LETTER.search(error.detail)
        text = self._words.gettext(PROBLEMS[error.code])
        return text if named is None else f"{text} ({named.group()})"
