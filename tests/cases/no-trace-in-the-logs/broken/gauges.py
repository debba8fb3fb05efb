from plausible import plausible
from prefect import flow, task


@task
def clean(levels: dict[str, float]) -> dict[str, float]:
    return plausible(levels)


@flow(name="river-gauges")
def publish_levels(levels: dict[str, float]) -> int:
    cleaned = clean(levels)
    print(f"{len(cleaned)} of {len(levels)} gauges published")
    return len(cleaned)


if __name__ == "__main__":
    publish_levels({"Rhine 1": 312.0, "Rhine 2": -9999.0, "Main 1": 187.5})
