"""CSV files as they are sent: headers that differ, rows with other fields, encodings, and quoted line breaks."""

import json
import re

import pytest

from tests.spark.intake.test_sources import read, said_while_reading
from tests.spark.source_files import COLUMNS, source
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import ReadFrom, SourceConfig
from ulvspark.intake.reading.csv_files import MALFORMED_ROW
from ulvspark.intake.reading.source_tables import read_table

HEADER = "line,customer,time,kind,sku,pieces,price,text"
GOOD = "{},ann,2024-01-05 12:00:00,purchase,mug,2,3.50,{}"


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def shop(path, filter=None, **read):
    content = source({**COLUMNS, "text": "text"})
    content["events"][0] |= {"read": {"format": "csv", "path": path, **read}, "filter": filter}
    return content


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


def loaded(spark, folder, content):
    mapped = read(spark, folder, content)
    events = {each.event_id: each.text for each in mapped.events.collect()}
    bad = sorted((each.reason, each.source_row) for each in mapped.quarantine.collect())
    mapped.release()
    return events, bad


def test_a_row_with_other_fields_than_the_header_is_quarantined_as_it_stands(spark, tmp_path):
    more, fewer = "3,ann,2024-01-05 12:00:00,purchase,mug,2,1,234.50,hi", "4,ann"
    other = GOOD.format(5, "left out")
    write(tmp_path, {"lines.csv": lines(HEADER, GOOD.format(1, "a"), more, fewer, "", GOOD.format(2, '"b, c"'), other)})
    # A filter sees shifted values of such a row, so it does not decide on it.
    events, bad = loaded(spark, tmp_path, shop("lines.csv", filter="text <> 'left out'"))
    assert events == {"1": "a", "2": "b, c"}
    assert [(reason, json.loads(row)) for reason, row in bad] == [
        ("malformed_row", {"malformed_row": more}), ("malformed_row", {"malformed_row": fewer}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("customer,line,time,kind,sku,pieces,price,text", "ann,5,2024-01-05,view,mug,1,1,x", "customer, line, time"),
        (HEADER + ",extra", GOOD.format(5, "x") + ",1", "columns, but another file"),
    ],
)
def test_a_file_whose_header_differs_is_named(spark, tmp_path, header, row, said):
    write(
        tmp_path / "some days", {"1.csv": lines(HEADER, GOOD.format(1, "a")), "2.csv": lines(header, row), "3.csv": ""}
    )
    told = said_while_reading(spark, tmp_path, shop("some days"))
    assert re.search(r"CSV file .*/some days/[12]\.csv has ", told), told
    assert said in told
    assert told.endswith("give all files of a table the same columns in the same order")


def test_names_that_spark_made_are_compared_too(spark, tmp_path):
    """Spark renames columns of one name, so it cannot compare these headers itself."""
    twice = lines(HEADER + ",note,note,", GOOD.format(1, "a") + ",x,y,z")
    other = lines("note,note,," + HEADER, "x,y,z," + GOOD.format(2, "a"))
    write(tmp_path / "some days", {"1.csv": twice, "2.csv": twice.replace("1,ann", "2,ann")})
    assert loaded(spark, tmp_path, shop("some days"))[0] == {"1": "a", "2": "a"}
    write(tmp_path / "some days", {"3.csv": other})
    with pytest.raises(ExpectedError, match=r"CSV file .*/some days/\d\.csv has "):
        read(spark, tmp_path, shop("some days"))


def texts(spark, folder, **read):
    """The texts of a CSV file by its lines, and how many rows are malformed."""
    rows = read_table(spark, ReadFrom(**read), str(folder), "events").collect()
    return {each.line: each.text for each in rows}, sum(each[MALFORMED_ROW] is not None for each in rows)


def test_encodings_separators_and_line_breaks(spark, tmp_path):
    root = str(tmp_path)
    text = lines(HEADER, GOOD.format(1, "naïve"), GOOD.format(2, "déjà"))
    semicolons = text.replace(",", ";")
    quoted = lines(HEADER, GOOD.format(1, '"naïve"'), GOOD.format(2, '"déjà\nvu"'))
    plain = {"1": "naïve", "2": "déjà"}
    cases = [
        ("\ufeff" + semicolons, "utf-8", {"options": {"sep": ";"}}, plain),
        ("\ufeff" + text, "utf-8", {}, plain),
        (text, "latin-1", {"encoding": "ISO-8859-1"}, plain),
        (text.replace("naïve", "5 €"), "cp1252", {"encoding": "windows-1252"}, plain | {"1": "5 €"}),
        (text, "utf-16", {"encoding": "UTF-16"}, plain),
        (text, "utf-16-le", {"encoding": "utf-16le"}, plain),
        (quoted, "utf-8", {"options": {"multiLine": "true"}}, plain | {"2": "déjà\nvu"}),
    ]
    for content, encoding, how, expected in cases:
        write(tmp_path, {"lines.csv": content.encode(encoding)})
        assert texts(spark, tmp_path, format="csv", path="lines.csv", **how) == (expected, 0), how
    # In one folder a byte order mark is not a difference.
    write(tmp_path / "some days", {"1.csv": ("\ufeff" + text), "2.csv": text.replace("1,ann", "3,ann")})
    assert texts(spark, tmp_path, format="csv", path="some days") == (plain | {"3": "naïve"}, 0)
    write(tmp_path, {"headless.csv": lines(GOOD.format(1, "a"), "2,ann")})
    headless = read_table(
        spark, ReadFrom(format="csv", path="headless.csv", options={"Header": "False"}), root, "events"
    )
    assert [(each._c1, each[MALFORMED_ROW]) for each in headless.collect()] == [("ann", None), ("ann", "2,ann")]


def test_an_unknown_encoding_is_one_sentence(spark, tmp_path):
    write(tmp_path, {"lines.csv": lines(HEADER)})
    with pytest.raises(ExpectedError, match=r"lines.csv: encoding 'klingon' is not known; use one such as UTF-8"):
        read(spark, tmp_path, shop("lines.csv", encoding="klingon"))
    content = source()
    content["events"][0]["read"]["encoding"] = "UTF-8"
    with pytest.raises(ExpectedError, match="encoding is for CSV files, and parquet has none; take it out"):
        validate(SourceConfig, content, "shop.yaml")
