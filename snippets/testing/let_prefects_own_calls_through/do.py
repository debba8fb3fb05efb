import tempfile
from pathlib import Path

import vcr
from prefect import flow, task
from prefect.settings import PREFECT_API_URL
from vcr.request import Request
from vendor import vendor


def not_prefects(request: Request) -> Request | None:
    own = request.uri.startswith(PREFECT_API_URL.value())
    return None if own else request


recorder = vcr.VCR(before_record_request=not_prefects)


@task
def fetch_prices() -> list[float]:
    with vendor() as client:
        return client.get("/prices").json()


@flow
def sum_prices() -> float:
    return sum(fetch_prices())


def test_total(cassette: Path):
    with recorder.use_cassette(cassette):
        assert sum_prices() == 20.0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cassette = Path(folder, "total.yaml")
        for run in ("First run", "Second run"):
            try:
                test_total(cassette)
                print(f"{run}: passed")
            except Exception as error:
                print(f"{run}: {type(error).__name__}")
        text = cassette.read_text()
    for call in ("/prices", "/flow_runs/"):
        print(f"{call} in the cassette: {call in text}")
