from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.logging import disable_run_logger
from price_report import NIGHTLY, load_prices, mean, price_report


def test_function():
    assert mean([9.5, 10.5]) == 10.0


def test_task():
    with disable_run_logger():
        assert load_prices.fn("2026-03-01") == [9.5, 10.5]


def test_flow():
    assert price_report("2026-03-01") == 10.0


def test_deployment():
    nightly = price_report.to_deployment(**NIGHTLY).apply()
    try:
        assert run_deployment(nightly, timeout=0).state.is_scheduled()
    finally:
        with get_client(sync_client=True) as client:
            client.delete_deployment(nightly)


if __name__ == "__main__":
    for test in (test_function, test_task, test_flow, test_deployment):
        try:
            test()
            print(f"{test.__name__}: passed")
        except Exception as error:
            print(f"{test.__name__}: {type(error).__name__}")
