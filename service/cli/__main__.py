"""``python -m service.cli``: what the launcher starts."""

from service.cli.main import zending

zending(prog_name="zending")
