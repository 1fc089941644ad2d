"""Land files in the raw tables: days of the landing zone, or foreign files by a mapping. See --help."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

from saas_analytics.landing.command import main


class _WithoutWhatArrowCanDoWithout(MetaPathFinder):
    """Hides modules that Arrow loads if they are there: 20 MB of memory for something that landing does not use."""

    modules = frozenset({"numpy", *(f"pyarrow.{name}" for name in ("_azurefs", "_gcsfs", "_hdfs", "_s3fs"))})

    def find_spec(self, name: str, *_: object) -> None:
        if name in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutWhatArrowCanDoWithout())
    sys.exit(main())
