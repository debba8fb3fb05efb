import os

import setting_names
from prefect import flow, task
from prefect.context import refresh_global_settings_context

fetched = []


@task
def fetch_rate(currency: str) -> float:
    fetched.append(currency)
    return 1.08


@flow
def report() -> float:
    return 100 * fetch_rate("USD") + 20 * fetch_rate("USD")


def start(environment: dict[str, str]) -> None:
    """Run the report as a process does that starts with these variables."""
    for warning in setting_names.warnings(environment):
        print(warning)
    os.environ.update(environment)
    refresh_global_settings_context()
    fetched.clear()
    print(f"The report says {report():.2f}, fetched: {fetched}")


if __name__ == "__main__":
    start({"PREFECT_RESULT_PERSIST_BY_DEFAULT": "true"})
    start({"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"})
