"""The alarms as rules of Prometheus; ``python -m service.operations_rules docs/alarms.yaml`` writes the file."""

import json
import re
import sys
from pathlib import Path

from service.domain.alarms import ALARMS, Alarm

_HEAD = """\
# SPDX-License-Identifier: EUPL-1.2
# Made from service/domain/alarms.py; `zending ops status` judges by the same table.
groups:
  - name: zending
    rules:
"""


def rules() -> str:
    """The file's text; strings are written as JSON, which is YAML too."""
    return _HEAD + "".join(_rule(alarm) for alarm in ALARMS)


def _rule(alarm: Alarm) -> str:
    lines = [f"      - alert: {alarm.name}", f"        expr: {json.dumps(alarm.expression())}"]
    if alarm.minutes:
        lines.append(f"        for: {alarm.minutes}m")
    lines += [
        "        labels:",
        f"          severity: {alarm.severity.name.lower()}",
        "        annotations:",
        f"          summary: {json.dumps(_templated(alarm, alarm.what))}",
        f"          action: {json.dumps(_templated(alarm, alarm.do))}",
        f"          runbook: docs/runbooks/{alarm.runbook}",
    ]
    return "\n".join(lines) + "\n"


def _templated(alarm: Alarm, text: str) -> str:
    """A sentence with its places in Prometheus' own form."""
    form = "humanizeDuration" if alarm.metric.endswith("_seconds") else "humanize"
    form = "humanizePercentage" if alarm.metric.endswith("_ratio") else form
    filled = text.replace("{value}", f"{{{{ $value | {form} }}}}")
    return re.sub(r"(?<!\{)\{(\w+)\}(?!\})", r"{{ $labels.\1 }}", filled)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(rules(), "utf-8")
