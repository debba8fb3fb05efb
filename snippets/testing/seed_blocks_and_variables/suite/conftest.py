from collections.abc import Iterator

import pytest
from prefect.blocks.system import Secret
from prefect.testing.utilities import prefect_test_harness
from prefect.variables import Variable


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        Secret(value="not-a-token").save("till-token")
        Variable.set("till_discount", 10)
        yield


@pytest.fixture
def discount() -> Iterator[None]:
    """A test may set another discount. The next test has the usual one."""
    yield
    Variable.set("till_discount", 10, overwrite=True)
