import asyncio
from pathlib import Path

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.runner import Runner
from prefect.states import Cancelling


def run_and_cancel(flow: Flow, lock: Path) -> str:
    """Serve a flow, start a run, and cancel it when it has its lock."""
    return asyncio.run(serve_and_cancel(flow, lock))


async def serve_and_cancel(flow: Flow, lock: Path) -> str:
    runner = Runner()
    deployment = await runner.add_flow(flow, name="stop-cleanly")
    async with get_client() as api:
        run = await api.create_flow_run_from_deployment(
            deployment, parameters={"lock_file": str(lock), "seconds": 600}
        )
        serving = asyncio.create_task(runner.start())
        while not run.state.is_final():
            if run.state.is_running() and lock.exists():
                await api.set_flow_run_state(run.id, Cancelling())
            await asyncio.sleep(0.1)
            run = await api.read_flow_run(run.id)
        await runner.astop()
        await serving
        await api.delete_deployment(deployment)
    return run.state.name
