"""The contacts come, and nothing of the run on the server holds the token."""

import os
import sys
from uuid import uuid4

sys.path.insert(0, os.getcwd())
import crm
from prefect import tags
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from sync_contacts import main

TOKEN = "not-a-real-crm-token"
CONTACTS = [
    {"mail": "ada@example.org", "agreed": True},
    {"mail": "bob@example.org", "agreed": False},
]


def contacts(audience: str, token: str) -> list[dict]:
    """Be the CRM."""
    if token != TOKEN:
        raise PermissionError("401: unknown token")
    return CONTACTS


crm.contacts = contacts
os.environ["CRM_TOKEN"] = TOKEN  # what the team's machine has
Secret(value=TOKEN).save("crm-contacts-token")
try:
    with tags(mark := str(uuid4())):
        found = main()
finally:
    Secret.delete("crm-contacts-token")
assert found == ["ada@example.org"], found

with get_client(sync_client=True) as client:
    (run,) = client.read_flow_runs(
        flow_filter=FlowFilter(name={"any_": ["sync-crm-contacts"]}),
        flow_run_filter=FlowRunFilter(tags={"all_": [mark]}),
    )
assert run.parameters["audience"] == "customers"
assert TOKEN not in run.model_dump_json(), (
    f"everybody can read the token: {run.parameters}"
)
