import os

import crm
from prefect import flow, task


@task
def download(audience: str, token: str) -> list[dict]:
    return crm.contacts(audience, token)


@task
def mail_addresses(contacts: list[dict]) -> list[str]:
    return [contact["mail"] for contact in contacts if contact["agreed"]]


@flow(name="sync-crm-contacts")
def sync_contacts(audience: str, token: str) -> list[str]:
    return mail_addresses(download(audience, token))


def main() -> list[str]:
    return sync_contacts("customers", token=os.environ["CRM_TOKEN"])


if __name__ == "__main__":
    print(main())
