from prefect import flow, task
from prefect.blocks.system import Secret
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
    if limit is None:
        raise LookupError("the Variable mailing-limit is missing")
    token = Secret.load("mailing-token").get()
    return send(CUSTOMERS[:limit], token)


if __name__ == "__main__":
    Secret(value="not-a-real-token").save("mailing-token")
    Variable.set("mailing-limit", 2)
    print(f"Mails sent, limit 2: {send_test_mailing()}")

    Variable.unset("mailing-limit")
    print(f"Limit forgotten: {send_test_mailing(return_state=True).message}")

    with get_client(sync_client=True) as api:
        shown = api.read_block_document_by_name(
            "mailing-token", "secret", include_secrets=False
        )
    print("The API shows:", shown.model_dump(include={"name", "data"}))

    Secret.delete("mailing-token")
