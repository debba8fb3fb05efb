import time

from prefect import flow, task
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.events import EventTrigger
from prefect.events.actions import RunDeployment

NAME, LOADS = "two-servers", 8


@task
def copy_rows(day: int) -> None: ...


@flow
def two_servers_load(day: int) -> None:
    with concurrency(NAME):
        copy_rows(day)


@flow
def two_servers_report() -> None: ...


if __name__ == "__main__":
    after_a_load = EventTrigger(
        expect={"prefect.flow-run.Completed"},
        match_related={"prefect.resource.name": two_servers_load.name},
    )
    with get_client(sync_client=True) as api:
        api.upsert_global_concurrency_limit_by_name(NAME, limit=LOADS)
        report = two_servers_report.to_deployment(NAME).apply()
        run = RunDeployment(deployment_id=report)
        then = Automation(name=NAME, trigger=after_a_load, actions=[run])
        then.create()
        for day in range(LOADS):
            two_servers_load(day)

        for _ in range(20):
            time.sleep(1)
            seen = [r.deployment_id for r in api.read_flow_runs()]
            reports = seen.count(report)
            taken = api.read_global_concurrency_limit_by_name(NAME)
            if reports == LOADS and not taken.active_slots:
                break
        print("Every load was followed by its report:", reports == LOADS)
        print("Every slot is free again:", taken.active_slots == 0)

        then.delete()
        api.delete_deployment(report)
        api.delete_global_concurrency_limit_by_name(NAME)
