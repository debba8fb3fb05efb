from datetime import timedelta
from secrets import token_hex

import httpx
import pytest
from prefect.blocks.system import Secret
from prefect.settings import get_current_settings
from prefect.variables import Variable

from tests.observe import settles

TOKEN = "not-a-real-token"


@pytest.fixture(autouse=True)
def nothing_remains():
    yield
    Variable.unset("mailing-limit")
    Variable.unset("mailing-token")


@pytest.fixture
def secret():
    def save(value):
        Secret(value=value).save("mailing-token", overwrite=True)
        return Secret.load("mailing-token")

    yield save
    Secret.delete("mailing-token")


def events_about(api, name):
    feed = {"filter": {"event": {"prefix": ["prefect.variable."]}}}
    found = api.request("POST", "/events/filter", json=feed).json()["events"]
    return [
        (event["event"].removeprefix("prefect.variable."), event["payload"])
        for event in found
        if event["payload"]["name"] == name
    ]


def test_a_deleted_variable_stays_readable_in_the_events(api):
    """The value of a Variable is readable in the API and in the events, and a
    Variable that does not exist is None.

    A `Variable` has a name, a value and tags, and the API returns all three in
    clear. When a Variable is created, changed or deleted, the server also
    records an event that contains the value. So it does not help to delete a
    Variable that contains a token, because the event of the deletion shows the
    token once more.
    """
    name = f"mailing-{token_hex()}"
    Variable.set(name, TOKEN, tags=["mail"])
    shown = api.read_variable_by_name(name)
    assert (shown.value, shown.tags) == (TOKEN, ["mail"])

    Variable.set(name, "a-new-token", tags=["mail"], overwrite=True)
    Variable.unset(name)

    assert Variable.get(name) is None
    settles(
        lambda: sorted(
            (event, payload["value"])
            for event, payload in events_about(api, name)
        ),
        [
            ("created", TOKEN),
            ("deleted", "a-new-token"),
            ("updated", "a-new-token"),
        ],
    )


def test_events_are_kept_for_seven_days():
    """Events are kept for seven days by default."""
    events = get_current_settings().server.events
    assert events.retention_period == timedelta(days=7)


def test_a_missing_variable_is_none_and_the_mail_goes_to_everyone(dont):
    """`Variable.get` does not raise for a name that the server does not know,
    but returns `None`. In Python `CUSTOMERS[:None]` is the whole list, so the
    trial went to all customers.
    """
    Variable.set("mailing-token", TOKEN, overwrite=True)

    assert Variable.get("mailing-limit") is None
    assert dont.send_test_mailing() == len(dont.CUSTOMERS) == 5


def test_the_limit_and_the_token_come_from_the_server(do, secret):
    """The flow reads both in each run, so a change on the server takes effect
    in the next run.
    """
    secret(TOKEN)
    for limit in (2, 3):
        Variable.set("mailing-limit", limit, overwrite=True)
        assert do.send_test_mailing() == limit

    secret("a-token-that-the-service-does-not-know")
    with pytest.raises(PermissionError, match="401: unknown token"):
        do.send_test_mailing()


def test_a_missing_setting_and_a_missing_secret_stop_the_flow(do):
    """`Secret.load` needs no such check, because for an unknown name it raises
    a `ValueError` that begins with `Unable to find block document named`.
    """
    with pytest.raises(LookupError, match="mailing-limit is missing"):
        do.send_test_mailing()
    with pytest.raises(ValueError) as caught:
        Secret.load("mailing-no-such-token")
    assert str(caught.value).startswith("Unable to find block document named")


def test_the_api_hides_a_block_unless_it_is_asked_for_the_secrets(api, secret):
    """The API shows asterisks only to a client that does not ask for the
    secrets.
    """
    secret(TOKEN)
    block = ("mailing-token", "secret")
    hidden = api.read_block_document_by_name(*block, include_secrets=False)
    assert hidden.data == {"value": "********"}
    shown = api.read_block_document_by_name(*block, include_secrets=True)
    assert shown.data == {"value": "not-a-real-token"}


def test_a_secret_of_digits_comes_back_as_a_number(secret):
    """Be careful with `get()`: it tries to read the text as JSON. The key
    `12345` comes back as a number, `true` as a `bool`, and `1e5` as
    `100000.0`. If a key can look like that, use
    `Secret.load("mailing-token").value.get_secret_value()`, which returns the
    text as it was stored.
    """
    for text, read in [("12345", 12345), ("true", True), ("1e5", 100000.0)]:
        pin = secret(text)
        assert (pin.get(), type(pin.get())) == (read, type(read))
        assert pin.value.get_secret_value() == text

    with pytest.raises(TypeError) as caught:
        httpx.get("http://127.0.0.1", headers={"X-Pin": secret("12345").get()})
    assert str(caught.value) == (
        "Header value must be str or bytes, not <class 'int'>"
    )


def test_a_missing_variable_can_have_a_default():
    """If there is a sensible value for a missing setting, give it:
    `Variable.get("mailing-limit", default=2)` returns 2 when the Variable does
    not exist.
    """
    assert Variable.get("mailing-limit", default=2) == 2
    Variable.set("mailing-limit", 4)
    assert Variable.get("mailing-limit", default=2) == 4
