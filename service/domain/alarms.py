"""What is an alarm: one table, from which the rules for Prometheus, the status page and the command are made.

An alarm looks at samples: a metric's values, each with its labels. It rings for every sample that is beyond its bound,
a number or another metric's sample with the same labels. So the monitoring and ``zending ops status`` can't disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

DAY: Final = 86400.0


class Severity(IntEnum):
    """How bad: somebody is called out of bed, or looks at it in the morning."""

    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric; the labels' values come from closed or small sets, never from people."""

    metric: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alarm:
    """When to ring, and what to say.

    Attributes:
        name: of the rule, and the code of what is found.
        metric: whose samples it looks at.
        beyond: rings above this: a number, or a metric with a sample for the same labels ``on``.
        below: rings below ``beyond`` instead.
        where: only samples with these labels.
        minutes: how long it must last before the monitoring calls; the status says it at once.
        what: one sentence; ``{label}`` and ``{value}`` are filled in.
        do: the first thing to do.
        runbook: page under docs/runbooks that says the rest.
    """

    name: str
    severity: Severity
    metric: str
    beyond: float | str
    what: str
    do: str
    runbook: str
    below: bool = False
    where: Mapping[str, str] = field(default_factory=dict)
    on: tuple[str, ...] = ()
    minutes: int = 0

    def rings(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples for which it rings."""
        return [each for each in samples if self._concerns(each) and self._is_beyond(each, samples)]

    def expression(self) -> str:
        """The same in PromQL."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.where.items())
        left = f"{self.metric}{{{labels}}}" if labels else self.metric
        sign = "<" if self.below else ">"
        if isinstance(self.beyond, str):
            # With all that a scrape adds: what is left out is missing in the alarm too.
            return f"{left} {sign} on(job, instance, {', '.join(self.on)}) {self.beyond}"
        return f"{left} {sign} {self.beyond:g}"

    def _concerns(self, sample: Sample) -> bool:
        return sample.metric == self.metric and all(
            sample.labels.get(name) == word for name, word in self.where.items()
        )

    def _is_beyond(self, sample: Sample, samples: Sequence[Sample]) -> bool:
        if isinstance(self.beyond, str):
            bounds = [
                each.value
                for each in samples
                if each.metric == self.beyond and all(each.labels[name] == sample.labels[name] for name in self.on)
            ]
        else:
            bounds = [self.beyond]
        return any(sample.value < bound if self.below else sample.value > bound for bound in bounds)


@dataclass(frozen=True, slots=True)
class Finding:
    """An alarm that rings for one sample."""

    code: str
    severity: Severity
    what: str
    do: str
    runbook: str
    labels: Mapping[str, str]
    value: float


def judge(samples: Sequence[Sample], alarms: Sequence["Alarm"]) -> list[Finding]:
    """Everything that is wrong, worst first; alike ones in the order of the table.

    What an alarm says is left out where a graver one rings for the same sample.
    """
    ringing = [(alarm, sample) for alarm in alarms for sample in alarm.rings(samples)]
    gravest: dict[int, Severity] = {}
    for alarm, sample in ringing:
        gravest[id(sample)] = max(alarm.severity, gravest.get(id(sample), alarm.severity))
    found = [
        Finding(
            code=alarm.name,
            severity=alarm.severity,
            what=alarm.what.format(value=spoken(alarm.metric, sample.value), **sample.labels),
            do=alarm.do.format(value=spoken(alarm.metric, sample.value), **sample.labels),
            runbook=f"docs/runbooks/{alarm.runbook}",
            labels=sample.labels,
            value=sample.value,
        )
        for alarm, sample in ringing
        if alarm.severity == gravest[id(sample)]
    ]
    return sorted(found, key=lambda each: -each.severity)


def spoken(metric: str, value: float) -> str:
    """A value as people say it: times in the largest unit that fits, shares in per cent."""
    if metric.endswith("_seconds"):
        for name, seconds in (("day", DAY), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
            if abs(value) >= seconds:
                count = int(value / seconds)
                return f"{count} {name}{'' if abs(count) == 1 else 's'}"
        return "0 seconds"
    if metric.endswith("_ratio"):
        return f"{value:.0%}"
    return f"{value:g}"


STUCK, PROVIDER, PRINT = "stuck-queue.md", "provider-down.md", "print-house.md"
_WARN, _CALL = Severity.WARNING, Severity.CRITICAL

ALARMS: Final[tuple[Alarm, ...]] = (
    Alarm("PartDown", _CALL, "zending_part_up", 1, "The {part} can't be reached.",
          "See that it runs and can be reached from here.", PROVIDER, below=True, where={"needed": "yes"}, minutes=1),
    Alarm("SealKeyUnusable", _CALL, "zending_seal_keys_unusable", 0,
          "On {host}, {value} organisation(s) have no usable seal key or certificate.",
          "Put the right key and certificate in place; what waits is sealed by itself then.", PROVIDER),
    Alarm("SealingFailsByKey", _CALL, "zending_jobs_failing", 0,
          "{value} document(s) can't be sealed: the key or its certificate can't be used.",
          "Put the right key and certificate in place; what waits is sealed by itself then.", PROVIDER,
          where={"code": "key_unusable"}),
    Alarm("SealingStoppedByEnd", _CALL, "zending_jobs_failing", 0,
          "{value} document(s) wait: the certificate to seal them with has ended, or ends too soon.",
          "Put the renewed certificate in place; what waits is sealed by itself then.", PROVIDER,
          where={"code": "certificate_ending"}),
    Alarm("SealingStoppedByRevocation", _CALL, "zending_jobs_failing", 0,
          "{value} document(s) wait: the certificate to seal them with was revoked.",
          "Ask who issued it why, and put another key in place; what waits is sealed by itself then.", PROVIDER,
          where={"code": "certificate_revoked"}),
    Alarm("RoleGone", _CALL, "zending_processes", 1, "No {role} has given a sign of life for a minute.",
          "Start one: see docs/operations.md.", STUCK, below=True, minutes=1),
    Alarm("HostSilent", _WARN, "zending_heartbeat_age_seconds", 60,
          "The {role} on {host} has been silent for {value}.",
          "See whether the machine and its processes live; if it is gone for good, this ends after a day.", STUCK,
          minutes=2),
    Alarm("StepLate", _CALL, "zending_oldest_seconds", "zending_promise_seconds",
          "The step {kind} is late: the oldest of its {lane} lane has waited for {value}.",
          "Look what fails below, whether workers live, and whether a pause was forgotten.", STUCK,
          on=("kind", "lane"), minutes=1),
    Alarm("BatchNotHandedOver", _CALL, "zending_batch_open_seconds", "zending_promise_seconds",
          "A print batch was closed {value} ago and is not handed over.",
          "See whether the print house takes files, and what fails below.", PROVIDER, on=("kind", "lane"), minutes=1),
    Alarm("CutOffLate", _CALL, "zending_cutoff_late_seconds", 600,
          "A print cut-off should have been {value} ago, and no batch was closed.",
          "See whether the scheduler lives, and what its log says of the loop cutoff.", STUCK),
    Alarm("PrintNumbersGone", _CALL, "zending_jobs_failing", 0,
          "{value} letter(s) wait: the numbers that the post gave for them are used up.",
          "Ask the post for another range and add it to the print house's file; what waits goes on by itself then.",
          PROVIDER, where={"code": "number_range_exhausted"}),
    Alarm("PrintNumbersEnding", _WARN, "zending_print_numbers_left", "zending_print_numbers_reserve",
          "{value} numbers of the post of the kind {kind} are left.",
          "Ask the post for another range and add it to the print house's file.", PROVIDER, below=True, on=("kind",)),
    Alarm("JobsParked", _WARN, "zending_jobs_parked", 0, "{value} job(s) of the step {kind} are parked.",
          "zending ops parked says why each is, and what to do.", STUCK),
    Alarm("JobsFailing", _WARN, "zending_jobs_failing", 25, "{value} jobs wait to be tried again: {code}.",
          "zending ops status --causes says what the code means; they go on by themselves once it is mended.",
          PROVIDER, minutes=5),
    Alarm("PartAway", _WARN, "zending_part_up", 1, "The {part} can't be reached; what needs it waits.",
          "See that it runs and can be reached from here.", PROVIDER, below=True, where={"needed": "no"}, minutes=5),
    Alarm("PauseForgotten", _WARN, "zending_oldest_pause_seconds", DAY, "Something has been paused for {value}.",
          "zending ops pauses shows it; end it with zending ops resume, or see that it is still wanted.", STUCK),
    Alarm("LedgerBehind", _CALL, "zending_ledger_pending_seconds", 60,
          "Evidence has waited for {value} to be put into the ledger.",
          "See whether the scheduler lives, and what its log says of the loop sequence.", STUCK, minutes=1),
    Alarm("LedgerUnsigned", _CALL, "zending_ledger_unsigned_seconds", 60,
          "The ledger has grown, and no checkpoint was signed for {value}.",
          "See what the scheduler's log says of the loop sequence; after a restore it may refuse to sign.", STUCK,
          minutes=1),
    Alarm("LedgerUnstamped", _WARN, "zending_ledger_unstamped_seconds", 1800,
          "No checkpoint got a time-stamp for {value} though the ledger has grown.",
          "See whether the time-stamp authority answers.", PROVIDER),
    Alarm("LedgerUncosigned", _WARN, "zending_ledger_uncosigned_seconds", 1800,
          "The witness {witness} has cosigned nothing for {value} though the ledger has grown.",
          "See what the scheduler's log says of the witness's loop; witness_contradicts is a fault of the log.",
          PROVIDER),
    Alarm("CertificateExpired", _CALL, "zending_certificate_left_seconds", 2 * DAY,
          "The seal profile {profile} seals for {value} more.", "Put the renewed certificate in place now.", PROVIDER,
          below=True),
    Alarm("CertificateExpiring", _WARN, "zending_certificate_left_seconds", 30 * DAY,
          "The seal profile {profile} seals for {value} more.", "Have its certificate renewed.", PROVIDER, below=True),
    Alarm("SealsNotRenewed", _WARN, "zending_seals_not_renewed", 0,
          "The seals of {value} delivery(ies) or signature request(s) could not be renewed in time.",
          "See whether time-stamp authorities and issuers of certificates answer; the log says why: seal_not_renewed.",
          PROVIDER),
    Alarm("DiskFull", _CALL, "zending_disk_free_ratio", 0.05, "On {host}, {value} of the {disk} disk is free.",
          "Make room or enlarge it now: hand-ins are refused when it is full.", STUCK, below=True),
    Alarm("DiskFilling", _WARN, "zending_disk_free_ratio", 0.15, "On {host}, {value} of the {disk} disk is free.",
          "Make room or enlarge it.", STUCK, below=True),
    Alarm("NoticesBounced", _WARN, "zending_notices_bounced", 20,
          "{value} notices of the last day could not be brought to anybody.",
          "See whether the mail server or one large mail provider refuses us.", PROVIDER),
    Alarm("WebhooksDisabled", _WARN, "zending_webhooks_disabled", 0,
          "{value} webhook(s) are disabled: their receivers took nothing for days, or said that they are gone.",
          "Tell the senders, who enable or remove them; the audit trail names the webhooks (webhook.disable).",
          PROVIDER),
    Alarm("WebhooksFailing", _WARN, "zending_webhooks_failing_seconds", DAY,
          "A receiver of webhooks has taken nothing for {value}.",
          "See whether calls leave at all; if only this one fails, tell its sender. After five days of calls it is"
          " disabled by itself; once nothing waits for it, this ends two days after the last call.",
          PROVIDER),
    Alarm("ReturnedMailAside", _WARN, "zending_returned_mail_aside", 0,
          "On {host}, {value} mail(s) that came back were not understood and wait for a person.",
          "Look at them in the folder .Aside of ZENDING_BOUNCE_MAILDIR.", PROVIDER),
    Alarm("ReturnedMailUnread", _WARN, "zending_returned_mail_oldest_seconds", 900,
          "On {host}, a mail that came back has waited for {value} to be read.",
          "See whether the scheduler lives, and what its log says of the loop bounces.", PROVIDER),
    Alarm("ReturnedMailUnreadable", _WARN, "zending_returned_mail_unreadable", 0,
          "On {host}, the folder of mail that came back can't be read.",
          "See that ZENDING_BOUNCE_MAILDIR is mounted and belongs to the service.", PROVIDER, minutes=5),
    Alarm("PrintExceptions", _WARN, "zending_print_exceptions", 0,
          "{value} thing(s) that print houses said do not fit and wait for somebody's look.",
          "zending print exceptions lists them; each is seen to and then marked.", PRINT),
    Alarm("PrintLettersLate", _WARN, "zending_print_letters_late", 0,
          "{value} letter(s) are past their deadline, and nobody said that the post has them.",
          "zending print reconcile names the batches, zending print show the letters; ask the print house.", PRINT),
    Alarm("PrintLettersUnprinted", _CALL, "zending_print_letters_unprinted", 0,
          "{value} letter(s) wait, and no print house offers their product.",
          "zending print waiting names the product: describe a print house that offers it, or bring the old one back.",
          PRINT),
    Alarm("PrintLettersUnprintedSince", _WARN, "zending_print_letters_unprinted_oldest_seconds", 0,
          "The oldest letter whose product no print house offers has waited for {value}.",
          "As for PrintLettersUnprinted.", PRINT),
    Alarm("PrintLettersHeld", _WARN, "zending_print_letters_held", 0,
          "{value} letter(s) are held back, one by one or with their product.",
          "zending print waiting says which; zending print release lets them go.", PRINT),
    Alarm("PrintLettersHeldSince", _WARN, "zending_print_letters_held_oldest_seconds", 0,
          "The oldest letter that is held back has waited for {value}.", "As for PrintLettersHeld.", PRINT),
    Alarm("PrintLettersLeft", _WARN, "zending_print_letters_left", 0,
          "{value} letter(s) wait past their cut-off: no print house had room for them.",
          "zending print waiting says which; they go first next time. zending print move gives them to another.",
          PRINT),
    Alarm("PrintLettersLeftSince", _WARN, "zending_print_letters_left_oldest_seconds", 0,
          "The oldest letter that no print house had room for has waited for {value}.",
          "As for PrintLettersLeft.", PRINT),
    Alarm("PrintNotAcknowledged", _WARN, "zending_print_acknowledgement_oldest_seconds", 4 * 3600,
          "A batch was handed over {value} ago, and the print house has not acknowledged it.",
          "Ask the print house whether the file arrived; zending print list names the batch.", PRINT),
    Alarm("PrintInboxStuck", _WARN, "zending_print_inbound_oldest_seconds", 1800,
          "A file of a print house has been kept for {value} and could not be taken in.",
          "See what the scheduler's log says of print_inbound_not_taken; the file is kept and tried again.", PRINT),
    Alarm("PrintPullUnanswered", _WARN, "zending_print_pull_oldest_seconds", 4 * 3600,
          "A pull list was ordered {value} ago, and the print house has not answered for all of its letters.",
          "Call the print house: the letters may be going out.", PRINT),
    Alarm("PrintFilesNotDeleted", _WARN, "zending_print_files_not_deleted", 0,
          "Of {value} batch file(s) the print house has not confirmed the deletion in time.",
          "Ask the print house to delete them and to say so; zending print list says which (not_deleted).", PRINT),
)  # fmt: skip
