"""What the copies of the pages for tools leave out."""

from bs4 import BeautifulSoup


def preprocess(soup: BeautifulSoup, output: str) -> None:
    """Take away the marks of proven sentences, and what runs a program.

    There is nothing to click, and the address of this site is not known here.
    Nor is a picture needed twice.
    """
    unwanted = 'a[href^="#proof-"], .run, img[src$="#only-dark"]'
    for part in soup.select(unwanted):
        part.decompose()
