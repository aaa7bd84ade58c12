"""Show what a mapping makes of the first rows of a company's tables, and what it leaves; nothing is written."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession

from ulvspark.contract import schema
from ulvspark.intake.columns.allowed_sql import used_columns
from ulvspark.intake.columns.expressions import ITEM, MappedTable
from ulvspark.intake.failures import read_errors_as_expected
from ulvspark.intake.judging.outcomes import TableOutcome, by_source_table, together
from ulvspark.intake.sources import map_source, read_source
from ulvspark.pipelines.load_source import SourceFile, mistakes_named

SAMPLE_ROWS = 10_000
"""How many rows of each source table are read."""
SHOWN_ROWS = 5
WIDEST_VALUE = 32
"""Longer values are cut, so that the shown rows fit beside each other."""
HIDDEN = ("content_hash", "text_hash", "ingested_at")
"""Columns that the load makes for itself."""


def explain_source(spark: SparkSession, source: SourceFile, clock: datetime) -> str:
    """For each table: its first rows as they would be loaded at ``clock``, what became of a sample, what is unmapped.

    Raises ExpectedError for a mapping or source that is wrong.
    """
    with mistakes_named(source.path):
        mapped = map_source(spark, source.config, source.root, clock, sample_rows=SAMPLE_ROWS)
        with read_errors_as_expected(mapped.tables):
            rows = read_source(mapped, "explain")
            outcomes = by_source_table(rows.outcomes.collect(), source.config.source_tables)
    loaded = {schema.EVENTS: rows.events, schema.PRODUCTS: rows.products, schema.USERS: rows.users}
    sections = [
        _table_section(
            good, together(outcomes, table.name), [each for each in mapped.tables if each.target.table is table]
        )
        for table, good in loaded.items()
    ]
    rows.release()
    head = f"{source.config.name}: up to {SAMPLE_ROWS:,} rows of each source table; nothing is written"
    return "\n\n".join([head, *sections, *_unused_columns(spark, mapped.tables)])


def _table_section(rows: DataFrame, outcome: TableOutcome, tables: Sequence[MappedTable]) -> str:
    if not tables:
        return f"{outcome.target}: not mapped"
    reasons = "".join(f"\n  {reason}: {number:,}" for reason, number in (outcome.bad | outcome.ignored).items())
    return (
        f"{outcome.target}: {outcome.good:,} of {outcome.rows:,} rows would be loaded{reasons}\n"
        f"{_first_rows(rows)}"
        f"{_unmapped(tables)}"
    )


def _first_rows(rows: DataFrame) -> str:
    """The rows beside each other, a line for each column, since tables are wider than a screen."""
    shown = rows.drop(*HIDDEN).limit(SHOWN_ROWS).toPandas()
    return "" if shown.empty else shown.T.to_string(header=False, na_rep="-", max_colwidth=WIDEST_VALUE) + "\n"


def _unmapped(tables: Sequence[MappedTable]) -> str:
    columns = [name for name in tables[0].target.columns if not any(name in each.mapping.columns for each in tables)]
    return f"  no expression for: {', '.join(columns)}" if columns else "  every column has an expression"


def _unused_columns(spark: SparkSession, tables: Sequence[MappedTable]) -> Iterator[str]:
    for name in dict.fromkeys(each.mapping.read.name for each in tables):
        same = [each for each in tables if each.mapping.read.name == name]
        expressions = [sql for each in same for sql in (*each.expressions.values(), each.mapping.explode) if sql]
        used = {column for sql in expressions for column in used_columns(spark, sql)} | {ITEM}
        unused = [column for column in same[0].columns if column.lower() not in used]
        yield f"{name}: {'no expression uses ' + ', '.join(unused) if unused else 'every column is used'}"
