"""A sample of ``make contention``: two loads of an empty warehouse, as processes that start together."""

from tests.contention.cases import Shop, two_first_loads
from tests.contention.processes import run_together
from ulvspark.warehouse.tables import Warehouse


def test_of_two_first_loads_one_loads_and_the_other_is_told_to_come_again(spark, tmp_path):
    made = Shop(str(tmp_path / "warehouse"), "", tmp_path, tmp_path)
    case = two_first_loads(made, made.warehouse)
    results = run_together(case.programs, {})
    assert sorted(each.code for each in results) == case.codes, results
    (told,) = [each.said for each in results if each.code]
    assert told.startswith("RetryableError: the lease `inputs` of warehouse ")
    case.check(Warehouse(spark, made.warehouse))
