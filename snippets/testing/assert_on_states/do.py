from prefect import flow, task
from task_states import task_states


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
    state = daily_report("2026-03-01", return_state=True)
    assert state.result() == 100
    ended = task_states(state, runs=2)
    assert ended == ["archive Completed", "load_orders Completed"], ended


def test_day_without_orders():
    state = daily_report("2026-03-02", return_state=True)
    assert state.is_failed(), state.name


if __name__ == "__main__":
    for test in (test_report, test_day_without_orders):
        try:
            test()
            print(f"{test.__name__}: passed")
        except AssertionError as error:
            print(f"{test.__name__}: failed, {error}")
