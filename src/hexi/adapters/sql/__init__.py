"""The store on SQLite and on PostgreSQL, one code."""

from hexi.adapters.sql.backup import BackupError, backup, restore
from hexi.adapters.sql.schema import SCHEMA, NewerSchemaError
from hexi.adapters.sql.store import SqlStore, migrate, open_store

__all__ = [
    "SCHEMA",
    "BackupError",
    "NewerSchemaError",
    "SqlStore",
    "backup",
    "migrate",
    "open_store",
    "restore",
]
