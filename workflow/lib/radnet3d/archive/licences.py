"""What a licence's name permits, and where its text stands."""

import re

CREATIVE_COMMONS = re.compile(
    r"(?:CC|creative commons)[\s-]*(?P<terms>(?:BY|attribution)(?:[\s-]+(?:NC|ND|SA|non-?commercial|no-?deriv\w*|share-?alike))*)"
    r"[\s-]*(?P<version>\d\.\d)?",
    re.IGNORECASE,
)
PUBLIC_DOMAIN = re.compile(r"CC[\s-]?0|CC[\s-]?zero|public domain dedication", re.IGNORECASE)
TERMS = {"BY": r"BY|attribution", "NC": r"NC|non-?commercial", "ND": r"ND|no-?deriv", "SA": r"SA|share-?alike"}
NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial", re.IGNORECASE)


def short_name(text: str) -> str:
    """Return a licence as the IDC's index names it (`CC BY-NC 4.0`); what is no Creative Commons licence stays as it is."""
    text = " ".join(text.split())
    if PUBLIC_DOMAIN.search(text):
        return "CC0 1.0"
    found = CREATIVE_COMMONS.search(text)
    if not found:
        return text
    terms = [
        term for term, words in TERMS.items() if re.search(rf"(?<![a-z])(?:{words})", found["terms"], re.IGNORECASE)
    ]
    return " ".join(part for part in ("CC", "-".join(terms), found["version"]) if part)


def is_commercial(text: str) -> bool | None:
    """Return whether commercial use is permitted, None if the wording is not known: then only reading it can tell."""
    if NON_COMMERCIAL.search(text):
        return False
    name = short_name(text)
    return True if name == "CC0 1.0" or re.fullmatch(r"CC BY(?:-ND|-SA)?(?: \d\.\d)?", name) else None


def licence_url(text: str) -> str:
    """Return where a Creative Commons licence stands, "" for any other: the page behind the collection's DOI says it."""
    name = short_name(text)
    if name == "CC0 1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    found = re.fullmatch(r"CC (BY(?:-NC)?(?:-ND|-SA)?) (\d\.\d)", name)
    return f"https://creativecommons.org/licenses/{found[1].lower()}/{found[2]}/" if found else ""
