from prefect import flow
from prefect._experimental.sla.objects import TimeToCompletionSla
from prefect.client.orchestration import get_client


@flow
def load_warehouse() -> None: ...


SLOW = TimeToCompletionSla(name="load-is-slow", duration=600)


def deploy() -> None:
    load_warehouse.to_deployment("nightly-with-sla", _sla=SLOW).apply()


if __name__ == "__main__":
    try:
        deploy()
    except ValueError as error:
        print(error)

    with get_client(sync_client=True) as api:
        name = "load-warehouse/nightly-with-sla"
        deployment = api.read_deployment_by_name(name)
        print("The deployment exists all the same:", deployment.name)
        api.delete_deployment(deployment.id)
