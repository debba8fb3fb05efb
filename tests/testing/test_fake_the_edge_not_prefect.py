from unittest.mock import patch

import httpx
import pytest
from prefect import task
from prefect.exceptions import ParameterBindError

from tests.observe import settles, task_runs

# price_service.py is the service that do.py asks.


def test_a_mock_of_the_task_hides_that_a_busy_service_counts_as_zero(dont, do):
    dont.test_total()

    with do.price_service((503, {"error": "busy, try again"})) as url:
        state = dont.total_price(url, return_state=True)
    assert state.is_completed()
    assert state.result() == 0


def test_a_mock_leaves_no_task_run_and_takes_any_arguments(dont, caplog):
    with patch("dont.fetch_prices", return_value=[9.5, 10.5]) as mock:
        state = dont.total_price("http://prices", return_state=True)
        mock()
    assert state.result() == 20.0
    assert "prefect.flow_runs" in caplog.text
    assert "prefect.task_runs" not in caplog.text

    with pytest.raises(ParameterBindError) as error:
        dont.fetch_prices()
    assert (
        "Error binding parameters for function 'fetch_prices':"
        " missing a required argument: 'url'." in str(error.value)
    )


def test_a_service_on_loopback_finds_the_fault(do):
    with pytest.raises(AssertionError, match="total is 0"):
        do.test_total()


def test_the_busy_service_is_asked_again_once_the_task_is_mended(
    do, api, monkeypatch
):
    @task(retries=1)
    def fetch_prices(url: str) -> list[float]:
        answer = httpx.get(f"{url}/prices").raise_for_status()
        return answer.json().get("prices", [])

    monkeypatch.setattr(do, "fetch_prices", fetch_prices)
    do.test_total()

    answers = (503, {}), (200, {"prices": [4.0]})
    with do.price_service(*answers) as url:
        state = do.total_price(url, return_state=True)
    assert state.result() == 4.0
    settles(lambda: task_runs(api, state), [("fetch_prices", "Completed", 2)])
