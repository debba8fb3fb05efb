import os

import httpx

BLOCK = "/block_types/slug/secret/block_documents/name/bank-token"

if __name__ == "__main__":
    answer = httpx.get(
        os.environ["PREFECT_API_URL"] + BLOCK, params={"include_secrets": True}
    )
    print(answer.status_code, answer.json().get("data", answer.text))
