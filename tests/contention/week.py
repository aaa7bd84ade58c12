"""A week of nights with one that is killed, one that a gate refuses and one that is accepted, and its ``ulv_runs``."""

from collections.abc import Mapping
from datetime import timedelta

from delta.tables import DeltaTable

from tests.contention.cases import NIGHT, Shop, statuses
from tests.contention.processes import ended, kill_when, start
from ulvspark.warehouse.tables import Warehouse

SHOWN = ("run_id", "as_of_date", "status", "exit_code", "reason", "warnings")


def week(made: Shop, warehouse: Warehouse, given: Mapping[str, str]) -> str:
    """Run the week; returns ``ulv_runs`` as text. The gates are those of ``made.score_config``."""

    def night(number: int, name: str, *more: str) -> int:
        _, job, arguments = made.score(name, NIGHT + timedelta(days=number), f"--run-id={name}", "--wait=600", *more)
        return ended(name, start(job, arguments, given), 0).code

    codes = [night(0, "monday"), night(1, "tuesday")]
    _, job, arguments = made.score("wednesday", NIGHT + timedelta(days=2), "--run-id=wednesday")
    kill_when(start(job, arguments, given), lambda: statuses(warehouse)["started"] > 0)
    codes.append(night(2, "wednesday_try_2"))
    for name in ("events", "users"):
        DeltaTable.forPath(warehouse.spark, warehouse.location(name)).delete("user_id > 'user05'")
    codes += [night(3, "thursday"), night(3, "thursday_accepted", "--accept-change"), night(4, "friday")]
    assert codes == [0, 0, 0, 1, 0, 0], codes
    rows = warehouse.read("ulv_runs").orderBy("started_at").select(*SHOWN).collect()
    assert {row.run_id: row.status for row in rows} == {
        "monday": "done", "tuesday": "done", "wednesday": "killed", "wednesday_try_2": "done",
        "thursday": "refused", "thursday_accepted": "done", "friday": "done",
    }  # fmt: skip
    return "\n".join(" | ".join(str(value) for value in row) for row in rows)
