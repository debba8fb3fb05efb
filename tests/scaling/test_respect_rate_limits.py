from time import monotonic, sleep

import httpx
import pytest
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import rate_limit

from tests.backend import PATIENCE
from tests.observe import settles, task_runs
from tests.programs import python


@pytest.fixture(autouse=True)
def service(dont, monkeypatch):
    """service.py, which the programs import, as it is before any call."""
    monkeypatch.setattr(dont.service, "calls", [])
    return dont.service


@pytest.fixture
def limit(do, api):
    do.create_limit()
    yield api.read_global_concurrency_limit_by_name("rates-service")
    do.delete_limit()


def test_one_call_after_the_other_is_still_too_fast(
    dont, service, api, caplog, monkeypatch
):
    """Four calls, one after the other, take less than two seconds, so the
    service refuses the last one.
    """
    # The clock of the service: a busy machine is slower than a client.
    monkeypatch.setattr(service, "monotonic", lambda: monotonic() / PATIENCE)
    state = dont.fetch_rates(return_state=True)

    assert "Client error '429 Too Many Requests'" in caplog.text
    done, refused = ("fetch_rate", "Completed", 1), ("fetch_rate", "Failed", 1)
    settles(lambda: task_runs(api, state), [done, done, done, refused])


def test_with_the_rate_limit_every_call_is_answered(do, limit, service, capsys):
    """`rate_limit` waits until the server agrees."""
    do.fetch_rates()

    assert capsys.readouterr().out.count("Completed") == 4
    assert service.calls[3] - service.calls[0] >= 2


def test_the_server_counts_the_calls_of_all_clients(api):
    """A service counts the calls of all your runs together, so keep its rate on
    the server, which sees all of them.

    Each call takes a slot, and nobody gives it back.

    `limit` is how many calls may go at once after a pause.
    """
    name = "rates-service-burst"
    api.upsert_global_concurrency_limit_by_name(
        name, limit=3, slot_decay_per_second=0.0001
    )
    for _ in range(3):
        rate_limit(name, strict=True)

    with pytest.raises(httpx.HTTPStatusError, match="423 Locked"):
        api.increment_concurrency_slots([name], slots=1, mode="rate_limit")
    api.delete_global_concurrency_limit_by_name(name)


def test_slots_become_free_with_time(api, service, monkeypatch):
    """Slots become free with time, `slot_decay_per_second` of them. So in a
    window of some seconds the service can see `limit + slot_decay_per_second *
    seconds` calls: here `1 + 1 * 2`, so 3, which is what it allows.

    The real rate is lower than the one that you set, because a refused client
    waits before it asks again.
    """

    def asked_at(seconds):
        monkeypatch.setattr(service, "monotonic", lambda: seconds)
        return httpx.get(service.url).status_code

    answers = [asked_at(seconds) for seconds in (0, 0, 0, 1.9, 2.1)]
    assert answers == [200, 200, 200, 429, 200]

    name, limit, decay, asked = "rates-service-window", 2, 2, 6
    api.upsert_global_concurrency_limit_by_name(
        name, limit=limit, slot_decay_per_second=decay
    )
    began, granted = monotonic(), 0
    while granted < asked:
        try:
            api.increment_concurrency_slots([name], slots=1, mode="rate_limit")
            granted += 1
        except httpx.HTTPStatusError as refused:
            assert float(refused.response.headers["Retry-After"]) > 0
            assert granted >= limit
            sleep(0.05)
    assert asked <= limit + decay * (monotonic() - began)
    api.delete_global_concurrency_limit_by_name(name)


def test_the_limit_and_its_command(do, api, limit, tmp_path):
    """In a shell it is `prefect gcl create rates-service --limit 1
    --slot-decay-per-second 1`.
    """
    assert (limit.limit, limit.slot_decay_per_second) == (1, 1)
    do.delete_limit()
    create = "prefect gcl create rates-service --limit 1"
    create = [*create.split(), "--slot-decay-per-second", "1"]
    assert python("-m", *create, cwd=tmp_path).returncode == 0
    typed = api.read_global_concurrency_limit_by_name("rates-service")
    assert (typed.limit, typed.slot_decay_per_second) == (1, 1)


def test_a_retry_asks_again(do, service, monkeypatch):
    """Ask inside of the task: then a retry asks again before it calls."""
    asked = []
    monkeypatch.setattr(do, "rate_limit", lambda *_, **options: asked.append(1))
    service.calls[:] = [monotonic()] * 3
    again = do.fetch_rate.with_options(retries=1)
    assert again("EUR", return_state=True).is_failed()
    assert len(asked) == len(service.calls) - 3 == 2


def test_a_limit_that_does_not_decay_is_no_rate_limit(api):
    """The second one comes from Prefect, if the limit that you use has no
    `slot_decay_per_second`:
    """
    name = "rates-service-no-decay"
    api.upsert_global_concurrency_limit_by_name(name, limit=1)
    with pytest.raises(ConcurrencySlotAcquisitionError) as refused:
        rate_limit(name)

    assert (
        "Only concurrency limits with slot decay can be used for rate limiting."
        in str(refused.value)
    )
    api.delete_global_concurrency_limit_by_name(name)


def test_without_strict_a_missing_limit_limits_nothing(do):
    """Ask with `strict=True`: without it, a limit that does not exist limits
    nothing.
    """
    for _ in range(3):
        rate_limit("rates-service")
    with pytest.raises(
        ConcurrencySlotAcquisitionError, match="must be created"
    ):
        do.fetch_rate("EUR")
