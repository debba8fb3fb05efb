import asyncio

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runner import Runner
from prefect.schedules import Cron

MONDAYS = Cron("0 6 * * 1", timezone="Europe/Berlin")


@flow
def load_orders() -> None: ...


def schedule(name: str) -> str:
    with get_client(sync_client=True) as api:
        deployment = api.read_deployment_by_name(f"load-orders/{name}")
    return "paused" if deployment.paused else "active"


if __name__ == "__main__":
    # load_orders.serve("serve-or-deploy", schedule=MONDAYS) does the same,
    # but it asks for work again and again, until you stop it.
    runner = Runner()
    served = runner.add_flow(load_orders, "serve-or-deploy", schedule=MONDAYS)
    print(f"Before the process asks for work: {schedule('serve-or-deploy')}")
    asyncio.run(runner.start(run_once=True))
    print(f"After it has stopped: {schedule('serve-or-deploy')}")
    with get_client(sync_client=True) as api:
        api.delete_deployment(served)
