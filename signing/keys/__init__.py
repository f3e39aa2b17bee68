"""Keys that seal: what every provider of one must do (``base``), and the providers."""

from signing.keys.base import BatchSealKey, SealKey, mechanism_for, mechanisms_of
from signing.keys.file import FileSealKey

__all__ = ["BatchSealKey", "FileSealKey", "SealKey", "mechanism_for", "mechanisms_of"]
