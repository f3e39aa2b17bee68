"""Settings as docs/settings.md tells of them."""

from enum import Enum
from pathlib import Path

from service.settings import Settings, variables


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return variables(name)[0]


def default_of(name: str) -> str:
    """A setting's default as the page writes it."""
    field = Settings.model_fields[name]
    value = field.default
    if field.is_required():
        return "**required**"
    if value is None or value == "":
        return "none"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"`{value}` ({value // (1024 * 1024)} MiB)"
    if isinstance(value, int | float | str | Path):
        return f"`{value}`"
    raise TypeError(name)
