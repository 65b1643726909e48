"""Tables with the columns, keys and indexes of our read models, for the rows of what the stack is measured against.

Copies, in a schema of their own: in ours the event log alone may write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.one_photo import COLUMNS, Rows

Connection = psycopg.Connection[Any]


def create(connection: Connection, schema: str) -> None:
    """Make the schema anew, empty. Ours must be in the database, vectors' index included."""
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        for table in map(sql.Identifier, COLUMNS):
            connection.execute(sql.SQL("CREATE TABLE {0}.{1} (LIKE public.{1} INCLUDING ALL)").format(name, table))


def empty(connection: Connection, schema: str) -> None:
    for table in COLUMNS:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(schema, table)))
    connection.commit()


def insert(connection: Connection, schema: str, photos: Iterable[Rows]) -> None:
    """Copy all rows into all tables, in a transaction."""
    photos = list(photos)
    with connection.transaction(), connection.cursor() as cursor:
        for table, columns in COLUMNS.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with cursor.copy(statement) as copy:
                for rows in photos:
                    for row in rows[table]:
                        copy.write_row(row)


def expect(connection: Connection, schema: str, photos: int, thumbnails_each: int = 3) -> None:
    """Raise AssertionError unless every photo has all its rows; how many things are detected in it is its own affair."""
    for table in COLUMNS.keys() - {"detections"}:
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        [(count,)] = connection.execute(statement).fetchall()
        wanted = photos * (thumbnails_each if table == "thumbnails" else 1)
        if count != wanted:
            raise AssertionError(f"{schema}.{table} has {count} rows instead of {wanted}")
    connection.commit()
