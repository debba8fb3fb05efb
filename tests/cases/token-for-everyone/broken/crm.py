import httpx

URL = "https://crm.example/api/v2"


def contacts(audience: str, token: str) -> list[dict]:
    """Download the people of an audience."""
    answer = httpx.get(
        f"{URL}/audiences/{audience}/contacts",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    return answer.raise_for_status().json()
