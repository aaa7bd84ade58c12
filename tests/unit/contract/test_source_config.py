"""Data sets in YAML: the shipped ones load, mistakes are named, reader options are assembled."""

from pathlib import Path

import pytest

from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.protocol import Protocol
from ulvspark.contract.source.source import ReadFrom, SourceConfig
from ulvspark.intake.reading.source_tables import reader_options

SOURCES = sorted((Path(__file__).parents[3] / "conf" / "sources").glob("*.yaml"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_shipped_source_loads_and_its_windows_do_not_overlap_the_test(path):
    source = load_config(SourceConfig, path)
    protocol = source.protocol
    assert source.name == path.stem
    if isinstance(protocol, Protocol):  # else rolling dates, which lie right wherever the data end
        assert protocol.origins_closed_by(protocol.test_cut) == tuple(
            sorted({*protocol.training_origins, protocol.validation_cut})
        )


def test_both_data_sets_are_shipped():
    assert {path.stem for path in SOURCES} >= {"complete_journey", "online_retail_ii"}


def test_mistakes_in_a_source_are_named_at_once(tmp_path):
    text = SOURCES[0].read_text().replace("time_zone: ", "time_zone: Mars/").replace("currency: ", "currencies: ")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ExpectedError) as caught:
        load_config(SourceConfig, tmp_path / "bad.yaml")
    assert all(part in str(caught.value) for part in ("bad.yaml", "currencies: unknown key", "currency: ", "Mars/"))


def test_reader_options(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "geheim$1")
    jdbc = ReadFrom(format="jdbc", table="sales.lines", options={"url": "jdbc:x", "password": "${SHOP_PASSWORD}"})
    assert reader_options(jdbc) == {"dbtable": "sales.lines", "url": "jdbc:x", "password": "geheim$1"}
    assert reader_options(ReadFrom(format="csv", path="a")) == {"header": "true"}
    headless = ReadFrom(format="csv", path="a", options={"header": "false"})
    assert reader_options(headless) == {"header": "false"}
    with pytest.raises(ExpectedError, match="option url: the environment has no variable NO_SUCH_ADDRESS"):
        reader_options(ReadFrom(format="jdbc", table="t", options={"url": "${NO_SUCH_ADDRESS}"}))
