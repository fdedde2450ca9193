"""Queries whose SQL is made once and then executed with other values each time.

Django's ORM builds a query anew at every call, which takes several times as long as SQLite takes to answer it. The
queries of every answer are prepared.

Private API of Django, read in 5.2.19 and 6.0: `QuerySet.query`, `Query.get_compiler`, `Query.chain`,
`SQLCompiler.as_sql`, `.select`, `.col_count` and `.get_converters`, `UpdateQuery.add_update_values`,
`InsertQuery.insert_values`, `Model._state`. `tests/test_prepared_queries.py` fails where one of them changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models import QuerySet, Value
from django.db.models.constants import OnConflict
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.subqueries import InsertQuery, UpdateQuery

Row = TypeVar("Row")
M = TypeVar("M", bound=models.Model)


class Parameter(Value):
    """The place of a value in a query; each call gives one under this name."""

    def __init__(self, name: str, output_field: models.Field[Any, Any]) -> None:
        super().__init__(name, output_field=output_field)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class _Statement:
    """SQL, and which of its parameters each call gives."""

    def __init__(self, sql: str, params: Sequence[Any]) -> None:
        self.sql = sql
        self._params = params
        self._names = {param.value for param in params if isinstance(param, Parameter)}

    def params(self, given: Mapping[str, Any], connection: Any) -> tuple[Any, ...]:
        """All parameters as the driver takes them. Raises `TypeError` unless exactly the missing ones are given."""
        if given.keys() != self._names:
            raise TypeError(f"This query takes {sorted(self._names)}, not {sorted(given)}.")
        return tuple(
            param.output_field.get_db_prep_value(given[param.value], connection)
            if isinstance(param, Parameter)
            else param
            for param in self._params
        )


class PreparedQuery(Generic[Row]):
    """`build` makes the query of constants and `Parameter`s only: it is called once for each kind of database."""

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        self._build = build
        self._compiled = cache(self._compile)

    def __call__(self, **given: Any) -> list[Row]:
        connection = connections[DEFAULT_DB_ALIAS]
        built, compiler, converters, statement = self._compiled(connection.vendor)
        params = statement.params(given, connection)
        prepared = copy(compiler)
        prepared.connection = connection
        prepared.as_sql = lambda *_args, **_options: (statement.sql, params)  # type: ignore[method-assign]
        prepared.get_converters = lambda _columns: converters  # type: ignore[method-assign, assignment]
        queryset = built.all()
        queryset.query.get_compiler = lambda *_args, **_options: prepared  # type: ignore[method-assign]
        return list(queryset)

    def one(self, **given: Any) -> Row | None:
        """The row, where there can be one at most; None where there is none."""
        return next(iter(self(**given)), None)

    def _compile(self, _vendor: str) -> tuple[QuerySet[Any, Row], SQLCompiler, Any, _Statement]:
        queryset = self._build()
        compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        statement = _Statement(*compiler.as_sql())
        converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
        return queryset, compiler, converters, statement


class PreparedUpdate:
    """As `CompiledQuery`; `build` gives the rows to change, and by column what they become."""

    def __init__(self, build: Callable[[], tuple[QuerySet[Any, Any], Mapping[str, Any]]]) -> None:
        self._build = build
        self._compiled = cache(self._compile)

    def __call__(self, **given: Any) -> int:
        """Execute; returns how many rows were changed."""
        connection = connections[DEFAULT_DB_ALIAS]
        statement = self._compiled(connection.vendor)
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.params(given, connection))
            return int(cursor.rowcount)

    def many(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute once for each of these, in one call to the database."""
        connection = connections[DEFAULT_DB_ALIAS]
        statement = self._compiled(connection.vendor)
        with connection.cursor() as cursor:
            cursor.executemany(statement.sql, [statement.params(given, connection) for given in rows])

    def _compile(self, _vendor: str) -> _Statement:
        rows, values = self._build()
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(values)
        return _Statement(*query.get_compiler(DEFAULT_DB_ALIAS).as_sql())


class PreparedInsert(Generic[M]):
    """As `bulk_create`: all columns except an automatic key, and no signals.

    With `ignore_conflicts`, SQLite also ignores rows that violate any other constraint.
    """

    def __init__(self, model: type[M], *, ignore_conflicts: bool = False) -> None:
        self._model = model
        self._on_conflict = OnConflict.IGNORE if ignore_conflicts else None
        self._fields = [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]
        self._compiled = cache(self._compile)

    def __call__(self, *rows: M) -> int:
        """Execute; returns how many rows were written."""
        connection = connections[DEFAULT_DB_ALIAS]
        sql = self._compiled(connection.vendor)
        with connection.cursor() as cursor:
            cursor.executemany(sql, [self._params(row, connection) for row in rows])
            written = int(cursor.rowcount)
        for row in rows:
            row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
        return written

    def _params(self, row: M, connection: Any) -> tuple[Any, ...]:
        return tuple(field.get_db_prep_save(field.pre_save(row, True), connection) for field in self._fields)

    def _compile(self, _vendor: str) -> str:
        query = InsertQuery(self._model, on_conflict=self._on_conflict)
        query.insert_values(self._fields, [self._model()])
        [(sql, _params)] = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return str(sql)
