"""Checks data contracts against the Open Data Contract Standard.

    python .ci/contracts.py saas_analytics/contracts/*.yaml

The same check as `datacontract lint FILE`, for all files in one process. The schema comes with
datacontract-cli; nothing is read from the network.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import yaml
from datacontract.data_contract import DataContract


def problems(file: Path) -> list[str]:
    """The errors in a contract; empty if it is valid."""
    run = DataContract(data_contract_file=str(file)).lint()
    found = [f"{file}: {check.reason}" for check in run.checks or [] if check.result != "passed"]
    name = yaml.safe_load(file.read_text())["name"]
    if name != file.stem:
        found.append(f"{file}: its name is {name}; a contract has the name of its file")
    return found


def main(arguments: list[str]) -> int:
    logging.disable(logging.CRITICAL)  # the checks of the run hold every error
    if not arguments:
        print(__doc__)
        return 2
    found = [problem for name in arguments for problem in problems(Path(name))]
    print("\n".join(found) or f"{len(arguments)} contracts are valid.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
