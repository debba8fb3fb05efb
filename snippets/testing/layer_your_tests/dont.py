from prefect.logging import disable_run_logger
from price_report import load_prices, mean, price_report


def test_function():
    assert mean([9.5, 10.5]) == 10.0


def test_task():
    with disable_run_logger():
        assert load_prices.fn("2026-03-01") == [9.5, 10.5]


def test_flow():
    assert price_report.fn("2026-03-01") == 10.0


if __name__ == "__main__":
    for test in (test_function, test_task, test_flow):
        try:
            test()
            print(f"{test.__name__}: passed")
        except Exception as error:
            print(f"{test.__name__}: {type(error).__name__}")
