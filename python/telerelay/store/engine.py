"""Opens the store, brings its tables up to date, and hands out transactions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, select
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from telerelay.store.tables import Organisation
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

BUSY_TIMEOUT_MS: Final = LIMITS["database_busy_ms"]
PAGES_KIB: Final = LIMITS["database_pages_kib"]
STATEMENTS: Final = LIMITS["database_statements"]

_WRITES = "telerelay_writes"


class Store:
    """A cluster's durable truth.

    Transactions that write take turns inside this process, so that none of them meets a lock of another.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._readers = async_sessionmaker(engine, expire_on_commit=False)
        writing = engine.execution_options(**{_WRITES: True})
        self._writers = async_sessionmaker(writing, expire_on_commit=False)
        self._turn = asyncio.Lock()
        self._ended = self._failed = self._queued = 0
        self._refusing = False

    @classmethod
    async def open(cls, file: Path) -> "Store":
        """Open the database in `file`, made and migrated where needed. Raises TelerelayError(STORE)."""
        try:
            await asyncio.to_thread(migrate, file)
        except SQLAlchemyError as error:
            raise _store_error(error) from error
        engine = create_async_engine(
            _url("sqlite+aiosqlite", file),
            # The connection that was used last comes first. In turn, each would come to hold the same pages.
            pool_use_lifo=True,
            connect_args={"cached_statements": STATEMENTS},
        )
        _prepare_sqlite(engine.sync_engine)
        return cls(engine)

    async def close(self) -> None:
        """Give every connection back; what was committed is on the disk."""
        await self._engine.dispose()

    def statistics(self) -> dict[str, int]:
        """Transactions that ended well, that the database refused, and that wait for their turn to write."""
        return {
            "store_transactions": self._ended,
            "store_failures": self._failed,
            "store_waiting": self._queued,
        }

    @property
    def refusing(self) -> bool:
        """Whether the database refused what was to be written last."""
        return self._refusing

    async def answers(self) -> None:
        """Return when the database has read something. Raises TelerelayError(STORE)."""
        async with self.reading() as session:
            await session.execute(select(Organisation.id).limit(1))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One consistent view. Raises TelerelayError(STORE)."""
        with self._counting():
            async with self._readers() as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, undone by an exception.

        Raises TelerelayError(STORE).
        """
        with self._counting():
            try:
                async with self._next_writer(), self._writers.begin() as session:
                    yield session
            except SQLAlchemyError:
                self._refusing = True
                raise
            self._refusing = False

    @asynccontextmanager
    async def _next_writer(self) -> AsyncIterator[None]:
        """Wait for the turn to write, and have it."""
        self._queued += 1
        try:
            await self._turn.acquire()
        finally:
            self._queued -= 1
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Count how a transaction ends. Raises TelerelayError(STORE) for what the database refused."""
        try:
            yield
        except SQLAlchemyError as error:
            self._failed += 1
            raise _store_error(error) from error
        self._ended += 1


def migrate(file: Path) -> None:
    """Bring the database in `file` to the newest revision. Blocks. Raises SQLAlchemyError."""
    engine = create_engine(_url("sqlite+pysqlite", file))
    _prepare_sqlite(engine)
    try:
        with engine.execution_options(**{_WRITES: True}).begin() as connection:
            command.upgrade(migrations(connection), "head")
    finally:
        engine.dispose()


def migrations(connection: Connection) -> Config:
    """Alembic's configuration for the migrations of this package, on a connection that is open already."""
    config = Config()
    # ConfigParser reads a percent sign in a path as the start of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _url(driver: str, file: Path) -> URL:
    return URL.create(driver, database=str(file))


def _prepare_sqlite(engine: Engine) -> None:
    """What SQLite needs to be asked for on each connection; another engine has these by itself."""

    def connected(connection: Any, _record: object) -> None:
        # The driver opens transactions by its own rules, and not before DDL; we say BEGIN ourselves.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # A spool file is removed once its records are here: a commit must survive a power cut.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        # In KiB where it is negative, in pages otherwise.
        cursor.execute(f"PRAGMA cache_size = -{PAGES_KIB}")
        cursor.close()

    def begun(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once where another one wrote meanwhile.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _store_error(error: SQLAlchemyError) -> TelerelayError:
    # The statement and its values are data of organisations: to the log at DEBUG, never into an answer.
    structlog.get_logger("store").debug("the database refuses", exc_info=error)
    cause = getattr(error, "orig", None) or error
    return TelerelayError("STORE", detail=f"{type(cause).__name__}: {cause}")
