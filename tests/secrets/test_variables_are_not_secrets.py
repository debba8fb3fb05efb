import httpx
import pytest
from prefect.blocks.system import Secret
from prefect.variables import Variable

from tests.observe import settles

TOKEN = "not-a-real-token"


@pytest.fixture
def no_limit():
    Variable.unset("mailing-limit")


def events_about(api, name):
    feed = {"filter": {"event": {"prefix": ["prefect.variable."]}}}
    found = api.request("POST", "/events/filter", json=feed).json()["events"]
    return [e["payload"] for e in found if e["payload"]["name"] == name]


def test_a_deleted_variable_stays_readable_in_the_events(api):
    Variable.set("mailing-old-token", TOKEN, overwrite=True)
    assert api.read_variable_by_name("mailing-old-token").value == TOKEN

    Variable.unset("mailing-old-token")

    assert Variable.get("mailing-old-token") is None
    event = {"name": "mailing-old-token", "value": "not-a-real-token"}
    settles(
        lambda: events_about(api, "mailing-old-token")[:2],
        [event | {"tags": []}] * 2,
    )


def test_a_missing_variable_is_none_and_the_mail_goes_to_everyone(
    dont, no_limit
):
    Variable.set("mailing-token", TOKEN, overwrite=True)

    assert dont.send_test_mailing() == len(dont.CUSTOMERS) == 5


def test_a_missing_setting_and_a_missing_secret_stop_the_flow(do, no_limit):
    with pytest.raises(LookupError, match="mailing-limit is missing"):
        do.send_test_mailing()
    with pytest.raises(ValueError, match="Unable to find block document"):
        Secret.load("mailing-no-such-token")


def test_the_api_hides_a_block_unless_it_is_asked_for_the_secrets(do, api):
    Variable.set("mailing-limit", 2, overwrite=True)
    Secret(value=TOKEN).save("mailing-token", overwrite=True)

    assert do.send_test_mailing() == 2
    block = ("mailing-token", "secret")
    hidden = api.read_block_document_by_name(*block, include_secrets=False)
    assert hidden.data == {"value": "********"}
    shown = api.read_block_document_by_name(*block, include_secrets=True)
    assert shown.data == {"value": "not-a-real-token"}


def test_a_secret_of_digits_comes_back_as_a_number():
    Secret(value="12345").save("mailing-pin", overwrite=True)
    pin = Secret.load("mailing-pin")

    assert pin.get() == 12345
    assert pin.value.get_secret_value() == "12345"
    with pytest.raises(TypeError) as caught:
        httpx.get("http://127.0.0.1", headers={"X-Pin": pin.get()})
    assert str(caught.value) == (
        "Header value must be str or bytes, not <class 'int'>"
    )
