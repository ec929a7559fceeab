"""The node's data folder and its database, looked at without changing anything."""

import os
import sqlite3
from collections.abc import Iterator
from typing import Final

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError

from telerelay.node.data_folder import DataFolder
from telerelay.store.engine import migrations
from telerelay_endpoint.doctor.findings import Check, Finding

_OF_OTHERS: Final = 0o077


def check_store(folder: DataFolder) -> Iterator[Finding]:
    """Whether the folder is private and writable, and the database opens, is whole and of this version."""
    check = Check("store")
    if not folder.store.exists():
        yield check.ok("the first start makes the database", "データベースは最初の起動時に作成されます")
        return
    if folder.path.stat().st_mode & _OF_OTHERS:
        yield check.fail(
            f"{folder.path} is open to others",
            f"{folder.path} がほかの利用者にも開かれています",
            f"chmod 700 {folder.path}",
        )
    for path in (folder.path, folder.store, folder.audit):
        if not os.access(path, os.W_OK):
            yield check.fail(
                f"{path} cannot be written",
                f"{path} に書き込めません",
                f"findmnt -T {path}; ls -ld {path}",
            )
            return
    yield _check_database(check, folder)


def _check_database(check: Check, folder: DataFolder) -> Finding:
    engine = create_engine(
        "sqlite+pysqlite://", creator=lambda: sqlite3.connect(f"file:{folder.store}?mode=ro", uri=True)
    )
    restore = (
        f"stop the node and bring {folder.store} back from a backup",
        f"中継サーバーを停止し、{folder.store} をバックアップから戻してください",
    )
    try:
        with engine.connect() as connection:
            # Its first line names the database, the last one the fault.
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one().splitlines()[-1]
            if found != "ok":
                return check.fail(
                    f"{folder.store} is damaged: {found}", f"{folder.store} が壊れています: {found}", restore
                )
            return _check_revision(check, connection)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        return check.fail(
            f"{folder.store} does not open: {cause}", f"{folder.store} を開けません: {cause}", restore
        )
    finally:
        engine.dispose()


def _check_revision(check: Check, connection: Connection) -> Finding:
    current = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(migrations(connection))
    newest = script.get_current_head()
    if current == newest:
        return check.ok(
            f"the database is whole and of revision {current}",
            f"データベースは正常で、リビジョンは {current} です",
        )
    if current is not None and not _knows(script, current):
        return check.fail(
            f"the database is of revision {current}, which this version does not know (it knows {newest})",
            f"データベースのリビジョン {current} はこの版では扱えません (この版は {newest})",
            (
                "install the version that made it, or a newer one",
                "それを作成した版か、新しい版を入れてください",
            ),
        )
    return check.warn(
        f"the database is of revision {current}; the next start brings it to {newest}",
        f"データベースのリビジョンは {current} です。次の起動時に {newest} へ更新されます",
        ("back it up before", "事前にバックアップしてください"),
    )


def _knows(script: ScriptDirectory, revision: str) -> bool:
    try:
        script.get_revision(revision)
    except CommandError:
        return False
    return True
