"""One label at a time is sent to the printer, and all are."""

import os
import sys
from threading import Condition

sys.path.insert(0, os.getcwd())
import printer
import set_up
from labels import print_labels
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

together = Condition()
sent: list[str] = []
inside = most = 0


def send(label: str) -> None:
    """Be the printer, and leave a second label time to come."""
    global inside, most
    with together:
        inside += 1
        most = max(most, inside)
        together.notify_all()
        if not sent:
            together.wait_for(lambda: most > 1, timeout=3)
        inside -= 1
    sent.append(label.splitlines()[0])


printer.send = send
set_up.main()
try:
    print_labels(["P-100", "P-101"])
finally:
    with get_client(sync_client=True) as client:
        for name in ("warehouse-label-printer", "warehouse-label-printers"):
            try:
                client.delete_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                continue
assert most == 1, f"{most} labels were in the printer at once"
assert sorted(sent) == ["PARCEL P-100", "PARCEL P-101"], sent
