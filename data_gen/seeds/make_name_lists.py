"""Makes lists of names with Faker, for a synthetic company whose people have other names.

    python data_gen/seeds/make_name_lists.py --out lists --locale de_DE --locale fr_FR --names 300

This writes first_names.txt and last_names.txt: one name per line, each name once, in the order of
their code points. The same options and the same version of Faker give the same bytes.

To use the lists, copy them to data_gen/seeds. Users and customers of all days then have other
names, although rules, seed and scale are the same. That is why the lists there, which consist of
Faker's names too, are committed and not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from pathlib import Path

from faker import Faker
from faker.config import AVAILABLE_LOCALES

# Of the countries in data_gen/rules.yaml, as far as their names have Latin letters.
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "nl_NL", "es_ES", "sv_SE", "pt_BR", "en_IN")
_DRAWS_PER_NAME = 100  # after so many draws for each wanted name, there are no more


class TooFewNames(Exception):
    """The locales do not have as many names."""


def name_lists(locales: Sequence[str], number: int, seed: int) -> dict[str, list[str]]:
    """`number` first names and last names, by the name of their list, in equal parts by locale.

    Raises TooFewNames.
    """
    fakers = []
    for locale in locales:
        faker = Faker(locale, use_weighting=False)
        faker.seed_instance(f"{seed} {locale}")
        fakers.append(faker)
    return {
        "first_names": _distinct([faker.first_name for faker in fakers], number, "first"),
        "last_names": _distinct([faker.last_name for faker in fakers], number, "last"),
    }


def _distinct(sources: Iterable[Callable[[], str]], number: int, kind: str) -> list[str]:
    names: set[str] = set()
    for draws, draw in enumerate(cycle(sources)):
        if len(names) == number:
            return sorted(names)
        if draws >= number * _DRAWS_PER_NAME:
            break
        names.add(draw().strip())
    raise TooFewNames(f"the locales have only about {len(names)} {kind} names, not {number}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the lists")
    parser.add_argument(
        "--locale",
        action="append",
        choices=sorted(AVAILABLE_LOCALES),
        metavar="LOCALE",
        help=f"as Faker names it, several times for several (default: {' '.join(LOCALES)})",
    )
    parser.add_argument("--names", type=int, default=500, metavar="N", help="in each list (500)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="other names (1)")
    given = parser.parse_args(argv)
    if given.names < 1:
        parser.error(f"--names must be at least 1, not {given.names}")
    try:
        lists = name_lists(given.locale or LOCALES, given.names, given.seed)
    except TooFewNames as error:
        parser.error(str(error))
    given.out.mkdir(parents=True, exist_ok=True)
    for name, names in lists.items():
        path = given.out / f"{name}.txt"
        path.write_text("\n".join(names) + "\n", encoding="utf-8")
        print(f"{len(names):>6,} names  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
