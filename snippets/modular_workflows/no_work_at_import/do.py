from prefect import flow, task
from prefect.flows import load_flow_from_entrypoint


@task
def send(mail: str) -> None:
    print(f"Sent: {mail}")


@flow
def send_newsletter(week: int) -> None:
    send(f"newsletter of week {week}")


if __name__ == "__main__":
    send_newsletter(9)  # Try it.

    print("Prefect loads the flow, to deploy or to run it:")
    load_flow_from_entrypoint(f"{__file__}:send_newsletter")
