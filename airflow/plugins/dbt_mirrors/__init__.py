"""One dbt process for a whole project in Airflow, with every model visible in the grid.

README.md says how to use it.
"""

from dbt_mirrors.errors import RETRY_POLICY, BuildFailed, ProjectBroken, TestsFailed
from dbt_mirrors.operators import DbtBuild, DbtMirror, mirror_models

__all__ = [
    "RETRY_POLICY",
    "BuildFailed",
    "DbtBuild",
    "DbtMirror",
    "ProjectBroken",
    "TestsFailed",
    "mirror_models",
]
