from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.variables import Variable

CUSTOMERS = ["ana", "bo", "chi", "dee", "eli"]


@task
def send(customers: list[str], token: str) -> int:
    if token != "not-a-real-token":
        raise PermissionError("401: unknown token")
    return len(customers)


@flow
def send_test_mailing() -> int:
    limit = Variable.get("mailing-limit")
    token = Variable.get("mailing-token")
    return send(CUSTOMERS[:limit], token)


if __name__ == "__main__":
    Variable.set("mailing-token", "not-a-real-token")
    Variable.set("mailing-limit", 2)
    print(f"Mails sent, limit 2: {send_test_mailing()}")

    Variable.unset("mailing-limit")
    print(f"Mails sent, limit forgotten: {send_test_mailing()}")

    with get_client(sync_client=True) as api:
        shown = api.read_variable_by_name("mailing-token")
    print("The API shows:", shown.model_dump(include={"name", "value"}))

    Variable.unset("mailing-token")
