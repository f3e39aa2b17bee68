"""Objects outside the database: a folder, S3, or memory in tests; `base` says what each must do."""

from service.vault.objects.address import open_store
from service.vault.objects.base import ObjectStore, StoredObject

__all__ = ["ObjectStore", "StoredObject", "open_store"]
