import json
import re
import sys
from urllib.request import urlopen


def find_rules(site: str, message: str) -> list[str]:
    """The rules with a text that the message holds: title and address."""
    with urlopen(f"{site}rules.json") as answer:
        rules = json.load(answer)["rules"]
    return [
        f"{rule['title']}: {site}{rule['address']}"
        for rule in rules
        if any(re.search(pattern, message) for pattern in rule["patterns"])
    ]


if __name__ == "__main__":
    site, message = sys.argv[1:]
    if not (found := find_rules(site, message)):
        sys.exit(f"No rule knows this message. Search for it: {site}")
    print("\n".join(found))
