"""An example of a team's own DAG: it runs when the mart `mrr` has changed. Initially paused.

Every mart is an asset, `marts.<name>`. The pipeline and the micro-batch emit an event of it when
its rows have changed.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, task

from saas_analytics.settings import load_settings
from saas_analytics.warehouse import connect

MRR = Asset("marts.mrr")

with DAG(
    dag_id="example_after_mrr",
    description="Prints the newest month of recurring revenue when it has changed",
    doc_md=__doc__,
    schedule=[MRR],
    catchup=False,
    tags=["example"],
):

    @task
    def print_mrr() -> None:
        with connect(load_settings(), "reporter") as warehouse:
            query = (
                "select month_start, sum(mrr) from marts.mrr"
                " group by month_start order by month_start desc limit 1"
            )
            for month, mrr in warehouse.execute(query):
                print(f"MRR of {month:%B %Y}: {mrr:,.2f}")

    print_mrr()
