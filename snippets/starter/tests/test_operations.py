from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import prefect.runtime
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.flows import load_flow_from_entrypoint

from daily_sales import flows, set_up
from daily_sales.cli import main
from daily_sales.flows import load_daily_sales
from tests.shop import DAY

ROOT = Path(__file__).parents[1]
DEPLOYED: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "prefect.yaml").read_text()
)["deployments"]


@pytest.mark.parametrize("deployed", DEPLOYED, ids=lambda one: one["name"])
def test_a_worker_can_load_what_is_deployed(deployed: dict[str, Any]) -> None:
    flow: Any = load_flow_from_entrypoint(
        deployed["entrypoint"], use_placeholder_flow=False
    )
    assert flow.name == load_daily_sales.name
    flow.validate_parameters(deployed.get("parameters", {}))
    assert deployed["work_pool"]["name"] == set_up.POOL


@pytest.mark.parametrize(
    ("start", "day"),
    [
        (datetime(2026, 3, 2, 5, 0, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 1, 23, 30, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 7, 1, 22, 30, tzinfo=UTC), date(2026, 7, 1)),
    ],
    ids=str,
)
def test_a_run_is_for_the_day_before_its_planned_start(
    monkeypatch: pytest.MonkeyPatch, start: datetime, day: date
) -> None:
    runtime = prefect.runtime.flow_run
    monkeypatch.setattr(runtime, "parameters", {}, raising=False)
    monkeypatch.setattr(runtime, "scheduled_start_time", start, raising=False)
    assert flows.day_of_run() == day
    assert flows.run_name() == f"sales of {day}"


def test_a_setting_chooses_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(flows.task_runner()).__name__ == "ThreadPoolTaskRunner"
    monkeypatch.setenv("DAILY_SALES_DASK_SCHEDULER", "tcp://127.0.0.1:8786")
    assert type(flows.task_runner()).__name__ == "DaskTaskRunner"


def test_a_backfill_can_be_started_twice(
    ready: None, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment: Any = load_daily_sales.to_deployment("backfill")
    here = DeploymentFilterId(any_=[deployment.apply()])
    days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    for reason, last in ("prices", days[1]), ("prices", days[2]), ("tax", DAY):
        main(["backfill", reason, days[0], str(last)])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=here)
        )
    asked = sorted((run.parameters["day"], *run.tags) for run in runs)
    assert asked == [
        ("2026-03-01", "backfill:prices"),
        ("2026-03-01", "backfill:tax"),
        ("2026-03-02", "backfill:prices"),
        ("2026-03-03", "backfill:prices"),
    ]
    assert all(run.parameters["refresh"] for run in runs)
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_backfill_goes_forward() -> None:
    with pytest.raises(ValueError, match="is before"):
        main(["backfill", "prices", "2026-03-02", "2026-03-01"])
