"""What the copies of the pages for tools leave out."""

from bs4 import BeautifulSoup


def preprocess(soup: BeautifulSoup, output: str) -> None:
    """Take away the marks of proven sentences, and what runs a program.

    There is nothing to click, and the address of this site is not known here.
    """
    for part in soup.select('a[href^="#proof-"], .run'):
        part.decompose()
