"""`python data_gen/land.py` is `analytics land`, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from saas_analytics import cli


def main(argv: Sequence[str] | None = None) -> int:
    return cli.main(["land", *(sys.argv[1:] if argv is None else argv)], here=True)


if __name__ == "__main__":
    sys.exit(main())
