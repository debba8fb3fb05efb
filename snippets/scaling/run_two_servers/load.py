import asyncio

from prefect import flow, task
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter
from prefect.concurrency.asyncio import concurrency
from prefect.events import EventTrigger
from prefect.events.actions import RunDeployment

NAME, LOADS = "two-servers", 12


@task
async def copy_rows(month: int) -> None:
    await asyncio.sleep(0.3)


@flow
async def two_servers_load(month: int) -> None:
    async with concurrency(NAME):
        await copy_rows(month)


@flow
def two_servers_report() -> None: ...


async def main() -> None:
    after_a_load = EventTrigger(
        expect={"prefect.flow-run.Completed"},
        match_related={"prefect.resource.name": two_servers_load.name},
    )
    async with get_client() as api:
        await api.upsert_global_concurrency_limit_by_name(NAME, limit=LOADS)
        report = await (await two_servers_report.ato_deployment(NAME)).aapply()
        run = RunDeployment(deployment_id=report)
        then = Automation(name=NAME, trigger=after_a_load, actions=[run])
        await then.acreate()
        for month in range(LOADS):
            await two_servers_load(month)

        this = DeploymentFilter(id={"any_": [report]})
        for _ in range(20):
            await asyncio.sleep(1)
            reports = len(await api.read_flow_runs(deployment_filter=this))
            limit = await api.read_global_concurrency_limit_by_name(NAME)
            if reports == LOADS and not limit.active_slots:
                break
        print("Every load was followed by its report:", reports == LOADS)
        print("Every slot is free again:", not limit.active_slots)

        await then.adelete()
        await api.delete_deployment(report)
        await api.delete_global_concurrency_limit_by_name(NAME)


if __name__ == "__main__":
    asyncio.run(main())
