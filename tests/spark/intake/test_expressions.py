"""What an expression of a mapping may do, the rows that an array becomes, and expressions that fail on some row."""

import re

import pytest

from tests.spark.intake.test_sources import read, said_while_reading
from tests.spark.source_files import COLUMNS, row, source, write
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import SourceConfig, TableMapping
from ulvspark.contract.source.values import MISSING_WORDS
from ulvspark.intake.columns.expressions import MappedTable, evaluate
from ulvspark.intake.columns.targets import EVENTS_TARGET
from ulvspark.intake.time_zones import check_time_zones

CHANGING = "gives another value each time it is read"
REFUSED = {
    CHANGING: [
        "rand()", "rand(7)", "shuffle(array(sku))[0]", "uuid()", "randstr(5)", "uniform(1, 9)", "current_timestamp()",
        "now()", "current_date", "curdate()", "localtimestamp()", "unix_timestamp()", "date 'today'",
        "current_timezone()", "timestamp('now')", "monotonically_increasing_id()", "input_file_name()",
        "CAST('yesterday' AS DATE)", "if(time > now(), sku, line)",
    ],
    "which a mapping may not": [
        "current_user()", "version()", "bitmap_count(sku)",
        "java_method('java.lang.System', 'getenv', 'HOME')", "reflect('java.lang.System', 'exit', '0')",
        "try_reflect('java.lang.System', 'setProperty', 'a', 'b')", "_metadata.file_path", "xpath_string(sku, 'a')",
        "from_xml(sku, 'a STRING', map('rowValidationXSDPath', '/etc/passwd'))", "aes_encrypt(sku, line)",
        "identifier('java_' || 'method')('java.lang.System', 'getenv', 'HOME')", "session_user()", "current_database()",
        "transform(array(sku), x -> java_method('java.lang.System', 'getenv', x))[0]",
        "(SELECT first(value) FROM text.`/no/such/file`)", "EXISTS (SELECT 1 FROM delta.`/no/such/table`)",
        "sku IN (SELECT value FROM text.`/no/such/file`)",
    ],
    "an expression must give one value for each row": [
        "explode(array(sku, line))", "inline(array(struct(sku)))", "stack(2, sku, line)", "json_tuple(sku, 'a')",
        "sum(price) OVER (PARTITION BY sku)", "lag(sku)", "row_number() OVER (ORDER BY sku)", "max(price)", "count(*)",
        "window(time, '1 day').start", "collect_list(sku)[0]",
    ],
    "which is not built into Spark": ["known_here(sku)", "spark_catalog.default.known_here(sku)", "nowhere(sku)"],
    "is not valid here": ["price +", "to_number(price, 'x')", "concat(sku", "substring()", "*"],
}  # fmt: skip
ALLOWED = (
    "event_id", "concat_ws('/', sku, line)", "`odd name.x`", "upper(sku)::string",
    "if(price > 1, 'a', raise_error('x'))",
    "get(filter(array(sku), x -> x IS NOT NULL), 0)", "from_json(sku, 'a STRUCT<b: INT>').a.b", "sha2(sku, 256)",
    "CASE WHEN sku LIKE 'm%' THEN date_format(time, 'yyyy') END", "parse_url(sku, 'HOST')", "date '2024-01-01'", "time",
    "regexp_extract(sku, '(a+)', 1)", "'now'", "typeof(sku)", "try_to_timestamp(time)::string", "greatest(sku, line)",
    "from_unixtime(CAST(price AS BIGINT))", "variant_get(parse_json(sku), '$.a', 'string')",
    "CAST(array_max(array(price)) AS DECIMAL(9, 2))",
)  # fmt: skip


def mapping(**changes):
    given = {"read": {"format": "parquet", "path": "lines"}, "columns": COLUMNS, **changes}
    return TableMapping(**given)


@pytest.fixture
def lines(spark):
    rows = spark.createDataFrame([tuple(row().values())], ", ".join(f"{name} STRING" for name in row()))
    return rows.withColumns({"odd name.x": rows.line, "event_id": rows.line})


def said_of(lines, **changes):
    """What is said of a mapping; empty where it is accepted."""
    try:
        evaluate(MappedTable(lines, mapping(**changes), EVENTS_TARGET), MISSING_WORDS)
    except ExpectedError as error:
        return str(error)
    return ""


def test_what_an_expression_may_do(spark, lines):
    spark.udf.register("known_here", lambda value: value)
    for why, expressions in REFUSED.items():
        said = {sql: said_of(lines, columns=COLUMNS | {"product_id": sql}) for sql in expressions}
        place = "events.product_id from lines: "
        assert {sql: text for sql, text in said.items() if why not in text or not text.startswith(place)} == {}
    said = {sql: said_of(lines, columns=COLUMNS | {"product_id": sql}) for sql in ALLOWED}
    assert {sql: text for sql, text in said.items() if text} == {}


def test_the_other_expressions_are_checked_alike(lines):
    for key in ("filter", "latest_by", "explode"):
        said = said_of(lines, **{key: "uuid() > now()"})
        assert said.startswith(f"events.{key} from lines: 'uuid() > now()' calls uuid(), which gives another value"), (
            said
        )


def test_a_column_of_the_table_may_have_any_name(spark):
    rows = spark.createDataFrame(
        [("a", "b", "c", "d")], "user STRING, `_metadata` STRING, current_date STRING, e STRING"
    )
    columns = {"user_id": "user", "event_time": "current_date", "event_type": "_metadata", "product_id": "e"}
    evaluated = evaluate(MappedTable(rows, mapping(columns=columns), EVENTS_TARGET), MISSING_WORDS).rows.first()
    assert evaluated[:4] == ("a", "c", "b", "d")


def test_each_element_of_an_array_is_a_row(spark, tmp_path):
    items = "array(named_struct('sku', 'mug', 'price', 2.5), named_struct('sku', 'cup', 'price', -1.0))"
    both = spark.range(2).selectExpr(
        "string(id) AS line", f"if(id = 0, {items}, array()) AS items", "'ann' AS customer"
    )
    both.withColumn("event", both.line).write.parquet(str(tmp_path / "lines.parquet"))
    content = source({
        "user_id": "customer", "event_time": "'2024-01-05'", "event_type": "'cart'", "product_id": "item.sku",
        "unit_price": "item.price", "order_id": "size(items)",
    })  # fmt: skip
    content["events"][0] |= {"explode": "items", "filter": "item.price < 9 OR item IS NULL"}
    mapped = read(spark, tmp_path, content)
    found = sorted((each.product_id or "", each.order_id) for each in mapped.events.collect())
    # The event without items stays; the bad element is quarantined without its neighbours.
    assert found == [("", "0"), ("mug", "2")]
    (bad,) = mapped.quarantine.collect()
    assert bad.source_row == '{"line":"0","customer":"ann","event":"0","item":{"sku":"cup","price":-1.0}}'
    mapped.release()
    content["events"][0]["explode"] = "customer"
    with pytest.raises(ExpectedError, match=r"events.explode from lines.parquet: 'customer' is string, not an array"):
        read(spark, tmp_path, content)


@pytest.mark.parametrize(
    ("columns", "key", "said"),
    [
        ({"event_type": "if(pieces > 2, raise_error(customer), kind)"}, None,
         r"events.event_type from lines.parquet: .* fails on some row \(USER_RAISED_EXCEPTION\); correct it"),
        ({"event_time": "to_timestamp_ntz(time, 'bogus')"}, None,
         r"events.event_time from lines.parquet: .* fails on some row \(INVALID_DATETIME_PATTERN"),
        ({"event_time": "to_timestamp(time, 'uuuu-ww')"}, {"time_zone": "UTC"},
         r"events.event_time from lines.parquet: .* fails on some row"),
        ({"product_id": "element_at(split(sku, 'u'), int(pieces) - 3)"}, {"filter": "regexp_count(sku, '(') > 1"},
         r"events.filter from lines.parquet: .* fails on some row \(INVALID_PARAMETER_VALUE"),
    ],
)  # fmt: skip
def test_an_expression_that_fails_on_some_row_is_named(spark, tmp_path, columns, key, said):
    write(tmp_path, [row(line="1"), row(line="2", pieces="3", customer="ann@example.com")])
    content = source(COLUMNS | columns)
    content["events"][0] |= key or {}
    told = said_while_reading(spark, tmp_path, content)
    assert re.match(said, told), told
    assert "example.com" not in told


@pytest.mark.parametrize("zone", ["America/Coyhaique", "Factory"])
def test_a_time_zone_that_java_does_not_know_is_told_before_anything_is_read(spark, zone):
    content = source(time_zone=zone)
    with pytest.raises(
        ExpectedError, match=rf"time_zone '{zone}' is not known to Java .*name a zone with the same times"
    ):
        check_time_zones(spark, validate(SourceConfig, content, "shop.yaml"))
    content["events"][0]["time_zone"] = zone
    with pytest.raises(ExpectedError, match=f"time_zone '{zone}'"):
        check_time_zones(spark, validate(SourceConfig, content | {"time_zone": "UTC"}, "shop.yaml"))
