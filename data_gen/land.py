"""Land files in the raw tables: days of the landing zone, or foreign files by a mapping. See --help."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages are found from the project's root
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data_gen.landing.command import main


class _WithoutNumpy(MetaPathFinder):
    """Hides numpy, which Arrow loads if it is there: 15 MB of memory for something that landing does not use."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "numpy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutNumpy())
    sys.exit(main())
