"""OpenLineage: which tables and columns each dbt model was made from, and what its tests found.

What dbt did is told here, from the results of its run; what Airflow's tasks did is told by Airflow's own provider. Both
go to the same place: the file .local/logs/lineage/events.jsonl, or the server that LINEAGE_URL names.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from saas_analytics.layout import Layout
from saas_analytics.settings import Settings

NAMESPACE = "saas_analytics"  # of the jobs
# Who runs dbt, as OpenLineage's own tools are told it: namespace/job/run.
PARENT = "OPENLINEAGE_PARENT_ID"
_PRODUCER = "https://github.com/OpenLineage/OpenLineage/tree/main/integration/dbt"
_SECONDS, _SECONDS_IN_ALL = 5, 30  # that the server has to take an event, and those of a dbt run


def transport(settings: Settings) -> dict[str, Any]:
    """Where events go, as OpenLineage's client and Airflow's provider are told it."""
    if settings.lineage_url != "off":
        return {"type": "http", "url": settings.lineage_url, "timeout": _SECONDS, "retry": {"total": 0}}
    return {"type": "file", "log_file_path": str(Layout(settings.root).lineage / "events.jsonl"), "append": True}


def tell_lineage(settings: Settings, target_path: str) -> None:
    """Tell what the last dbt command in this target path did. What cannot be told is printed, and stops nothing.

    Needs the environment that dbt ran in.
    """
    try:
        from openlineage.client import OpenLineageClient  # takes a second, with what follows
        from openlineage.client.transport import get_default_factory
        from openlineage.common.provider.dbt.facets import ParentRunMetadata  # type: ignore[import-untyped]
        from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor  # type: ignore[import-untyped]

        Layout(settings.root).lineage.mkdir(parents=True, exist_ok=True)
        processor = DbtLocalArtifactProcessor(
            project_dir=str(settings.root / "dbt"),
            target_path=target_path,
            producer=_PRODUCER,
            job_namespace=NAMESPACE,
            skip_errors=True,
        )
        if parent := os.environ.get(PARENT):
            namespace, job, run = parent.split("/")
            processor.dbt_run_metadata = ParentRunMetadata(run_id=run, job_name=job, job_namespace=namespace)
        client = OpenLineageClient(transport=get_default_factory().create(transport(settings)))
        begun, told = time.monotonic(), processor.parse()
        for event in [*told.completes, *told.fails]:  # that they started too says nothing more, afterwards
            if time.monotonic() - begun > _SECONDS_IN_ALL:
                raise TimeoutError(f"{settings.lineage_url} took longer than {_SECONDS_IN_ALL} seconds")
            client.emit(event)
    except Exception as error:  # nothing here is worth a failed run
        print(f"The lineage of this dbt run could not be told: {error!r}", file=sys.stderr)
