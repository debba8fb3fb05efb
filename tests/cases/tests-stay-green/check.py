"""The team's tests fail if the upload does, and pass if all is well."""

import os
import sys

sys.path.insert(0, os.getcwd())
import bucket
import invoices_test

TESTS = [
    test
    for name, test in vars(invoices_test).items()
    if name.startswith("test_")
]
uploaded = []


def failed() -> list[str]:
    """Run the tests: the names of those that fail."""
    names = []
    for test in TESTS:
        try:
            test()
        except AssertionError:
            names.append(test.__name__)
    return names


def refuse(name: str, data: bytes) -> None:
    """Be a bucket that is gone."""
    raise PermissionError(f"403: {name}")


bucket.put = lambda name, data: uploaded.append(name)
red = failed()
assert red == [], f"tests fail although all is well: {red}"
assert uploaded == ["invoices-2026-05.json", "invoices-2026-06.json"], uploaded

bucket.put = refuse
red = failed()
assert len(red) == len(TESTS), f"nothing was uploaded, tests that fail: {red}"
