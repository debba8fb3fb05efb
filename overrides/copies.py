"""What the copies of the pages for tools leave out."""

from bs4 import BeautifulSoup


def preprocess(soup: BeautifulSoup, output: str) -> None:
    """Take the marks of proven sentences away: there is nothing to click."""
    for mark in soup.select('a[href^="#proof-"]'):
        mark.decompose()
