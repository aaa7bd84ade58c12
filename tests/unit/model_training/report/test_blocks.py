import re

from model_training.report.blocks import as_table, html_table, markdown_table, plain_table

ROWS = [
    {"model": "a|b", "<value>": "▲ +0.1 [+0.0, +0.2]", "note": "x" * 70},
    {"model": "c & d", "<value>": "▼ -0.1", "note": "<script>"},
    {"model": "e", "<value>": "–", "note": ""},
]


def test_the_first_key_of_a_row_is_its_label():
    table = as_table(ROWS)
    assert list(table.index) == ["a|b", "c & d", "e"]
    assert table.columns.name == "model"
    assert list(table.columns) == ["<value>", "note"]


def test_markdown_keeps_columns_apart_where_text_holds_a_pipe():
    lines = markdown_table(as_table(ROWS)).splitlines()
    assert lines[:2] == ["| model | <value> | note |", "| --- | --- | --- |"]
    assert lines[2].startswith(r"| a\|b | ▲ +0.1 [+0.0, +0.2] | x")
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


def test_html_escapes_text_marks_clear_differences_and_cuts_nothing_short():
    html = html_table(as_table(ROWS))
    assert "<th>&lt;value&gt;</th>" in html
    assert "<td>&lt;script&gt;</td>" in html
    assert "<th>c &amp; d</th>" in html
    assert '<td class="better">▲ +0.1 [+0.0, +0.2]</td>' in html
    assert '<td class="worse">▼ -0.1</td>' in html
    assert "<td>–</td>" in html
    assert "x" * 70 in html


def test_plain_text_starts_each_line_with_its_label_and_cuts_nothing_short():
    header, first, second, third = plain_table(as_table(ROWS)).splitlines()
    assert header.startswith("model")
    assert first.startswith("a|b")
    assert "x" * 70 in first
    assert (second.startswith("c & d"), third.startswith("e")) == (True, True)


def test_a_table_without_rows_is_no_line_of_the_terminal():
    assert plain_table(as_table([])) == ""
