import os

import setting_names
from prefect import flow, task
from prefect.context import refresh_global_settings_context

fetched = []


@task
def fetch_rate(currency: str) -> float:
    fetched.append(currency)
    return {"USD": 1.08, "GBP": 0.86}[currency]


@flow
def report() -> float:
    return 100 * fetch_rate("USD") + 20 * fetch_rate("USD")


def start(**environment: str) -> None:
    """Run the report as a process does that starts with these variables."""
    for warning in setting_names.warnings(environment):
        print(warning)
    os.environ.update(environment)
    refresh_global_settings_context()
    fetched.clear()
    report()
    print(f"Fetched: {fetched}")


if __name__ == "__main__":
    start(PREFECT_RESULT_PERSIST_BY_DEFAULT="true")
    start(PREFECT_RESULTS_PERSIST_BY_DEFAULT="true")
