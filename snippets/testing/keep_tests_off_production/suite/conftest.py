import os

# Before Prefect is imported. Nothing listens at this address.
os.environ["PREFECT_API_URL"] = "http://127.0.0.1:9/api"

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    with (
        prefect_test_harness(server_startup_timeout=120),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
        yield
