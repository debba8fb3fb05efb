# Both programs run slowest.py with the client that they choose.
import prefect
import pytest

OLDER, NEWER = "3.8.0", "3.9.1"


def test_a_newer_client_is_warned_and_then_fails(dont):
    said, log = dont.report_with(NEWER)

    assert said == "422 Invalid request received."
    assert (
        "Your Prefect server is running an older version of Prefect than your"
        " client which may result in unexpected behavior."
    ) in log
    assert (
        "Please upgrade your Prefect server from version"
        f" {prefect.__version__} to version {NEWER} or higher."
    ) in log


def test_without_the_check_it_fails_without_a_warning(dont):
    said, log = dont.report_with(
        NEWER, PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED="false"
    )

    assert said == "422 Invalid request received."
    assert "unexpected behavior" not in log


def test_an_older_client_works_and_needs_no_warning(do, api):
    said, log = do.report_with(OLDER)

    assert api.api_version() == prefect.__version__
    assert said == "The report is written."
    assert "unexpected behavior" not in log


def test_another_major_version_is_refused(api, monkeypatch):
    monkeypatch.setattr(prefect, "__version__", "4.0.0")

    with pytest.raises(
        RuntimeError,
        match=r"Found incompatible versions: client: 4.0.0, server: 3.*"
        r"Major versions must match.",
    ):
        api.raise_for_api_version_mismatch()
