from tests.observe import log_messages, settles, task_runs


def test_a_flow_retry_charges_the_card_twice(dont, api):
    """A flow retry runs the flow's whole body again, so work that was already
    done is done twice.

    `flow` with `retries=1` does not continue where it stopped. It calls your
    function again from its first line. `charge_card` has no stored result, so
    nothing tells Prefect that it is done: it gets a second task run, and the
    card a second charge. The flow run keeps its id, and its last state is
    `Completed`.
    """
    state = dont.checkout("order-7", return_state=True)

    assert dont.charges == ["order-7", "order-7"]
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert (run.state_name, run.run_count) == ("Completed", 2)
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
    """The log of the flow run says:"""
    state = dont.checkout("order-7", return_state=True)

    message = (
        "Received non-final state 'AwaitingRetry' when proposing final state"
        " 'Failed' and will attempt to run again..."
    )
    settles(lambda: message in log_messages(api, state), True)


def test_a_task_retry_repeats_only_what_failed(do, api):
    """Put the retry on the task that can fail. `charge_card` is not touched
    again.

    `task` with `retries=1` repeats that one task run: its run count becomes 2,
    and it ends `Completed`.
    """
    state = do.checkout("order-7", return_state=True)

    assert state.is_completed()
    assert do.charges == ["order-7"]
    settles(
        lambda: task_runs(api, state),
        [("charge_card", "Completed", 1), ("send_receipt", "Completed", 2)],
    )
    retries = [do.send_receipt.retries, do.charge_card.retries]
    assert [*retries, do.checkout.retries] == [1, 0, 0]


def test_a_retry_of_the_charge_charges_again(dont, monkeypatch):
    """If the bank books the charge and its answer is lost, the retry charges
    the card again, so first make it idempotent.
    """
    answers = iter(["lost", "arrives"])

    @dont.task(retries=1)
    def charge_card(order):
        dont.charges.append(order)
        if next(answers) == "lost":
            raise TimeoutError("no answer from the bank")

    monkeypatch.setattr(dont, "charge_card", charge_card)
    monkeypatch.setattr(dont, "mail_server", iter(["up"]))
    assert dont.checkout("order-7", return_state=True).is_completed()
    assert dont.charges == ["order-7", "order-7"]


def test_a_flow_retry_skips_a_task_whose_result_is_stored(dont, monkeypatch):
    """Then write `@flow(retries=1, persist_result=True)`, so that its tasks
    store their results. The second attempt reads the stored result instead of
    running the task. If only some tasks must not run twice, give these tasks
    `persist_result=True`.
    """
    checkout = dont.checkout.with_options(persist_result=True)
    assert checkout("order-7", return_state=True).is_completed()
    assert dont.charges == ["order-7"]

    kept = dont.charge_card.with_options(persist_result=True)
    monkeypatch.setattr(dont, "charge_card", kept)
    monkeypatch.setattr(dont, "mail_server", iter(["down", "up"]))
    assert dont.checkout("order-8", return_state=True).is_completed()
    assert dont.charges == ["order-7", "order-8"]
