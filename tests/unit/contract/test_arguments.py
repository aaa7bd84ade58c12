from datetime import date

import pytest

from ulvspark.contract import arguments
from ulvspark.contract.errors import ExpectedError


def test_a_parser_shows_the_first_line_of_a_docstring(capsys):
    parser = arguments.command_parser("load_source", "Load a company's tables.\n\n    spark-submit ...\n")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "load_source" in shown
    assert "Load a company's tables." in shown
    assert "spark-submit" not in shown


def test_a_date_is_parsed_and_what_is_none_is_an_expected_error():
    parser = arguments.command_parser("score_users", None)
    arguments.add_as_of(parser)
    assert parser.parse_args(["--as-of", "2024-02-29"]).as_of == date(2024, 2, 29)
    with pytest.raises(ExpectedError, match="'2023-02-29' is not a date"):
        parser.parse_args(["--as-of", "2023-02-29"])


def test_a_training_set_needs_no_date():
    parser = arguments.command_parser("build_training_set", None)
    arguments.add_training_as_of(parser)
    assert parser.parse_args([]).as_of is None
    assert parser.parse_args(["--as-of", "2026-03-02"]).as_of == date(2026, 3, 2)
    with pytest.raises(ExpectedError, match="'0001-01-01' lies outside 1970-01-01 to 2199-12-31"):
        parser.parse_args(["--as-of", "0001-01-01"])


def test_flags_have_the_defaults_that_the_programs_share():
    parser = arguments.command_parser("finetune", None)
    for add in (arguments.add_model, arguments.add_cut, arguments.add_elsewhere, arguments.add_overrides):
        add(parser)
    arguments.add_models(parser, required=False)
    arguments.add_config(parser, "conf/train.yaml")
    arguments.add_config(parser, "conf/tiers.yaml", "--tiers")
    given = parser.parse_args(["a.b=1", "--elsewhere", "x", "--elsewhere", "y"])
    assert (given.model, given.models, given.cut, given.elsewhere) == ("champion", None, "validation", ["x", "y"])
    assert (given.config, given.tiers, given.overrides) == ("conf/train.yaml", "conf/tiers.yaml", ["a.b=1"])


def test_a_scheduler_may_name_a_run():
    parser = arguments.command_parser("score_users", None)
    arguments.add_run(parser)
    assert arguments.run_request(parser.parse_args([])).run_id is None
    name = "scheduled__2026-03-01T00:00:00+00:00.try-2"
    assert arguments.run_request(parser.parse_args(["--run-id", name])).run_id == name
    for wrong in ("", "it's", "a b", "-x", "a" * 201):
        with pytest.raises(ExpectedError, match="cannot name a run"):
            parser.parse_args([f"--run-id={wrong}"])
