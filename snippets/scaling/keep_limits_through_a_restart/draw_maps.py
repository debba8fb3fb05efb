from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency

LIMITS = "map-server", "tag:map-licence"


@task(tags=["map-licence"])
def draw(region: str) -> None:
    print(f"Drawing the {region}. Restart the server, then press Enter.")
    input()


@flow
def draw_maps() -> None:
    with concurrency("map-server"):
        draw("north")


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        for name in LIMITS:
            api.upsert_global_concurrency_limit_by_name(name, limit=1)
        state = draw_maps(return_state=True)
        print(f"The run: {state.name}")
        for name in LIMITS:
            taken = api.read_global_concurrency_limit_by_name(name)
            print(f"Slots of {name} still taken: {taken.active_slots}")
            api.delete_global_concurrency_limit_by_name(name)
