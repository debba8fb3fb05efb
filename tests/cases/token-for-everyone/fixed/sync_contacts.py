import crm
from prefect import flow, task
from prefect.blocks.system import Secret


@task
def download(audience: str, token: str) -> list[dict]:
    return crm.contacts(audience, token)


@task
def mail_addresses(contacts: list[dict]) -> list[str]:
    return [contact["mail"] for contact in contacts if contact["agreed"]]


@flow(name="sync-crm-contacts")
def sync_contacts(audience: str, token_block: str) -> list[str]:
    token = Secret.load(token_block).get()
    return mail_addresses(download(audience, token))


def main() -> list[str]:
    return sync_contacts("customers", token_block="crm-contacts-token")


if __name__ == "__main__":
    print(main())
