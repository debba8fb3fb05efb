from tests.observe import log_messages, settles, task_runs


def test_a_flow_retry_charges_the_card_twice(dont, api):
    state = dont.checkout("order-7", return_state=True)

    assert state.is_completed()
    assert dont.charges == ["order-7", "order-7"]
    settles(
        lambda: task_runs(api, state),
        [
            ("charge_card", "Completed", 1),
            ("charge_card", "Completed", 1),
            ("send_receipt", "Completed", 1),
            ("send_receipt", "Failed", 1),
        ],
    )


def test_the_log_says_that_the_flow_run_is_tried_again(dont, api):
    state = dont.checkout("order-7", return_state=True)

    message = (
        "Received non-final state 'AwaitingRetry' when proposing final state"
        " 'Failed' and will attempt to run again..."
    )
    settles(lambda: message in log_messages(api, state), True)


def test_a_task_retry_repeats_only_what_failed(do, api):
    state = do.checkout("order-7", return_state=True)

    assert state.is_completed()
    assert do.charges == ["order-7"]
    settles(
        lambda: task_runs(api, state),
        [("charge_card", "Completed", 1), ("send_receipt", "Completed", 2)],
    )


def test_a_flow_retry_skips_a_task_whose_result_is_persisted(dont, monkeypatch):
    kept = dont.charge_card.with_options(persist_result=True)
    monkeypatch.setattr(dont, "charge_card", kept)

    assert dont.checkout("order-7", return_state=True).is_completed()
    assert dont.charges == ["order-7"]
