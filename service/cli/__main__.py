"""``python -m service.cli``: what the launcher starts."""

from service import memory

memory.load()

from service.cli.main import zending  # noqa: E402  loaded after that was said

zending(prog_name="zending")
