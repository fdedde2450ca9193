"""Databases as SQL text: written by one version of the site, loaded for another."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent / "data"

# What a newer pg_dump writes and an older server, or a client that is not psql, does not know; and its comments.
_DROPPED = re.compile(
    r"(\\(un)?restrict .*|SET transaction_timeout = .*|--|-- (Name|Data for Name|Dumped|PostgreSQL database dump).*)"
)


def dump_sqlite(path: Path) -> str:
    """All tables with their rows, then indexes, full-text tables by their content, and triggers."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "".join(f"{statement};\n" for statement in _statements(database))


def _statements(database: sqlite3.Connection) -> Iterator[str]:
    objects = database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    made = {name: sql for kind, name, sql in objects if kind == "table" and not name.startswith("sqlite_")}
    virtual = [name for name, sql in made.items() if sql.upper().startswith("CREATE VIRTUAL")]
    plain = [name for name in made if not any(name == each or name.startswith(f"{each}_") for each in virtual)]
    yield "BEGIN"
    for name in plain:
        yield made[name]
        yield from _rows(database, name)
    yield "DELETE FROM sqlite_sequence"
    yield from _rows(database, "sqlite_sequence")
    yield from (sql for kind, _name, sql in objects if kind == "index")
    for name in virtual:
        yield made[name].strip()
        yield from _rows(database, name, "rowid")
    yield from (sql for kind, _name, sql in objects if kind == "trigger")
    yield "COMMIT"


def _rows(database: sqlite3.Connection, table: str, *more: str) -> Iterator[str]:
    columns = [*more, *(row[1] for row in database.execute(f'PRAGMA table_info("{table}")'))]
    names = ", ".join(f'"{name}"' for name in columns)
    quoted = " || ', ' || ".join(f'quote("{name}")' for name in columns)
    rows = [f"({row})" for (row,) in database.execute(f'SELECT {quoted} FROM "{table}"')]
    if rows:
        yield f'INSERT INTO "{table}" ({names}) VALUES\n' + ",\n".join(rows)


def load_sqlite(sql: str, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(sql)


def dump_postgresql(url: str) -> str:
    """`pg_dump` as INSERTs, which any client can send, without owners, rights and comments."""
    options = ["--no-owner", "--no-privileges", "--no-comments", "--inserts", "--rows-per-insert=1000"]
    done = subprocess.run(["pg_dump", *options, url], capture_output=True, text=True, check=True)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if not _DROPPED.fullmatch(line))


def load_postgresql(sql: str, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())
