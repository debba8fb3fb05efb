import printer
from prefect import flow, task
from prefect.concurrency.sync import concurrency


@task
def render(parcel: str) -> str:
    return f"PARCEL {parcel}\nDock 4\nFragile"


@task
def print_label(parcel: str, label: str) -> str:
    with concurrency("warehouse-label-printer", occupy=1, strict=True):
        printer.send(label)
    return parcel


@flow(name="print-labels")
def print_labels(parcels: list[str]) -> list[str]:
    labels = render.map(parcels)
    return print_label.map(parcels, labels).result()


if __name__ == "__main__":
    print_labels(["P-100", "P-101", "P-102"])
