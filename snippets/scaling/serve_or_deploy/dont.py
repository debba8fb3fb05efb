import asyncio

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runner import Runner

NAME = "load-orders/serve-or-deploy"


@flow
def load_orders() -> None: ...


def schedule() -> str:
    with get_client(sync_client=True) as api:
        deployment = api.read_deployment_by_name(NAME)
    return "paused" if deployment.paused else "active"


if __name__ == "__main__":
    # load_orders.serve("serve-or-deploy", cron="0 6 * * 1") does the same,
    # but it asks for work again and again, until you stop it.
    runner = Runner()
    runner.add_flow(load_orders, "serve-or-deploy", cron="0 6 * * 1")
    print(f"Before the process asks for work: {schedule()}")
    asyncio.run(runner.start(run_once=True))
    print(f"After it has stopped: {schedule()}")
