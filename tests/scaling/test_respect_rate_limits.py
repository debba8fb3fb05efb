from time import monotonic

import httpx
import pytest
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import rate_limit

from tests.backend import PATIENCE
from tests.observe import settles, task_runs


@pytest.fixture(autouse=True)
def service(dont, monkeypatch):
    """service.py, which the programs import, as it is before any call."""
    monkeypatch.setattr(dont.service, "calls", [])
    return dont.service


def test_one_call_after_the_other_is_still_too_fast(
    dont, service, api, caplog, monkeypatch
):
    # The clock of the service: a busy machine is slower than a client.
    monkeypatch.setattr(service, "monotonic", lambda: monotonic() / PATIENCE)
    state = dont.fetch_rates(return_state=True)

    assert "Client error '429 Too Many Requests'" in caplog.text
    done, refused = ("fetch_rate", "Completed", 1), ("fetch_rate", "Failed", 1)
    settles(lambda: task_runs(api, state), [done, done, done, refused])


def test_with_the_rate_limit_every_call_is_answered(do, service, capsys):
    do.create_limit()
    do.fetch_rates()

    assert capsys.readouterr().out.count("Completed") == 4
    assert service.calls[3] - service.calls[0] >= 2


def test_the_limit_is_what_may_go_at_once_from_all_clients(api):
    name = "rates-service-burst"
    api.upsert_global_concurrency_limit_by_name(
        name, limit=3, slot_decay_per_second=0.0001
    )
    for _ in range(3):
        rate_limit(name, strict=True)

    with pytest.raises(httpx.HTTPStatusError, match="423 Locked"):
        api.increment_concurrency_slots([name], slots=1, mode="rate_limit")
    api.delete_global_concurrency_limit_by_name(name)


def test_a_limit_that_does_not_decay_is_no_rate_limit(api):
    name = "rates-service-no-decay"
    api.upsert_global_concurrency_limit_by_name(name, limit=1)
    with pytest.raises(ConcurrencySlotAcquisitionError) as refused:
        rate_limit(name)

    assert (
        "Only concurrency limits with slot decay can be used for rate limiting."
        in str(refused.value)
    )


def test_without_strict_a_missing_limit_limits_nothing():
    for _ in range(3):
        rate_limit("rates-service-missing")
    with pytest.raises(
        ConcurrencySlotAcquisitionError, match="must be created"
    ):
        rate_limit("rates-service-missing", strict=True)
