import httpx


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=[9.5, 10.5])


def vendor() -> httpx.Client:
    """A client whose calls a function answers, without a network."""
    return httpx.Client(
        base_url="https://prices.example",
        transport=httpx.MockTransport(answer),
    )
