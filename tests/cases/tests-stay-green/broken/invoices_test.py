from invoices import close_month


def test_month_with_two_invoices():
    assert close_month("2026-05") == 2000


def test_month_without_invoices():
    assert close_month("2026-06") == 0
