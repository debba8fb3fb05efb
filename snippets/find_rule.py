import json
import math
import re
import sys
from collections import Counter
from urllib.request import urlopen


def find_rules(site: str, message: str) -> list[str]:
    """The rules with a text that the message holds, or else with its words."""
    with urlopen(f"{site}rules.json") as answer:
        rules = json.load(answer)["rules"]
    found = [
        rule
        for rule in rules
        if any(re.search(pattern, message) for pattern in rule["patterns"])
    ]
    found = found or by_words(rules, message)
    return [f"{rule['title']}: {site}{rule['address']}" for rule in found]


def by_words(rules: list[dict], message: str) -> list[dict]:
    """The three rules that say the message's rare words most."""
    said = [Counter(words_of(rule)) for rule in rules]
    rules_with = Counter(word for own in said for word in own)
    scores = {}
    for number, own in enumerate(said):
        rarity = {
            word: math.log(len(rules) / rules_with[word])
            for word in own.keys() & words(message)
        }
        # One word, however rare, is not enough.
        if sum(rarity.values()) > 1.5 * math.log(len(rules)):
            often = sum(rarity[word] * math.sqrt(own[word]) for word in rarity)
            scores[number] = often / own.total()
    best = sorted(scores, key=scores.get, reverse=True)[:3]
    return [rules[number] for number in best]


def words_of(rule: dict) -> list[str]:
    texts = [rule["title"], rule["description"], rule["check"], *rule["asked"]]
    return [word for text in texts for word in words(text)]


def words(text: str) -> set[str]:
    """Its words, long ones without their ends: `retry` for `retrying`."""
    return {word[:5] for word in re.findall(r"\w+", text.lower())}


if __name__ == "__main__":
    site, message = sys.argv[1:]
    if not (found := find_rules(site, message)):
        sys.exit(f"No rule knows this message. Search for it: {site}")
    print("\n".join(found))
