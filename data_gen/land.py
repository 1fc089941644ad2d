"""Land files in the raw tables: days of the landing zone, or foreign files by a mapping. See --help."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages are found from the project's root
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data_gen.landing.command import main

if __name__ == "__main__":
    sys.exit(main())
