import json
import sys
from urllib.request import urlopen


def find_rules(site: str, message: str) -> list[str]:
    """The addresses of the rules with a symptom that the message holds."""
    with urlopen(f"{site}rules.json") as answer:
        rules = json.load(answer)["rules"]
    return [
        site + rule["address"]
        for rule in rules
        if any(symptom in message for symptom in rule["symptoms"])
    ]


if __name__ == "__main__":
    site, message = sys.argv[1:]
    print("\n".join(find_rules(site, message)))
