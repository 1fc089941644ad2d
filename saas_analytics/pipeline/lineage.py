"""OpenLineage: the tables and columns that each dbt model was made from, and its test results.

This module emits the events of dbt, from the results of its run. Airflow's own provider emits those
of Airflow's tasks. Both go to the same place: the file .local/logs/lineage/events.jsonl, or the
server in LINEAGE_URL.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from saas_analytics.layout import Layout
from saas_analytics.settings import Settings

NAMESPACE = "saas_analytics"  # of the jobs
# The variable by which OpenLineage's own tools learn who runs dbt: namespace/job/run.
PARENT = "OPENLINEAGE_PARENT_ID"
_PRODUCER = "https://github.com/OpenLineage/OpenLineage/tree/main/integration/dbt"
# Time limits: for one event, and for all events of a dbt run.
_SECONDS, _SECONDS_IN_ALL = 5, 30


def transport(settings: Settings) -> dict[str, Any]:
    """Where events go, in the format of OpenLineage's client and Airflow's provider."""
    if settings.lineage_url != "off":
        url = settings.lineage_url
        return {"type": "http", "url": url, "timeout": _SECONDS, "retry": {"total": 0}}
    path = Layout(settings.root).lineage / "events.jsonl"
    return {"type": "file", "log_file_path": str(path), "append": True}


def emit_lineage(settings: Settings, target_path: str) -> None:
    """Emit the events of the last dbt command in this target path. An error is printed, not raised.

    Needs the environment that dbt ran in.
    """
    try:
        from openlineage.client import OpenLineageClient  # takes a second, with what follows
        from openlineage.client.transport import get_default_factory
        from openlineage.common.provider.dbt import (  # type: ignore[import-untyped]
            DbtLocalArtifactProcessor,
            ParentRunMetadata,
        )

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
            processor.dbt_run_metadata = ParentRunMetadata(
                run_id=run, job_name=job, job_namespace=namespace
            )
        client = OpenLineageClient(transport=get_default_factory().create(transport(settings)))
        started, events = time.monotonic(), processor.parse()
        for event in [*events.completes, *events.fails]:  # start events would add nothing by now
            if time.monotonic() - started > _SECONDS_IN_ALL:
                limit = f"{_SECONDS_IN_ALL} seconds"
                raise TimeoutError(f"{settings.lineage_url} took longer than {limit}")
            client.emit(event)
    except Exception as error:  # no event is worth a failed run
        print(f"The lineage of this dbt run could not be emitted: {error!r}", file=sys.stderr)
