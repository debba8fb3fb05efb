import os

import httpx


def collect(member: str, cents: int) -> str:
    """Take the fee from the member's account."""
    answer = httpx.post(
        f"{os.environ['PAYMENTS_URL']}/debits",
        json={"member": member, "cents": cents},
    )
    return answer.raise_for_status().text


def send_mail(member: str, text: str) -> None:
    answer = httpx.post(
        f"{os.environ['MAIL_URL']}/mails", json={"to": member, "text": text}
    )
    answer.raise_for_status()
