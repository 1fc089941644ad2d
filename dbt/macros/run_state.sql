{#-
  The state of a run, which is written before its first model. These tables are in the schema
  change_feed, next to those of the package exact:
    loads_at_start  the loads that were live when the newest run began: those that its build must
                    consume
    chosen_day      the day that was chosen to be "today", which model as_of reads
-#}
{% macro create_run_state() -%}
    {{ exact.create_state() }}
    create table if not exists change_feed.loads_at_start (
        run_id text, load_id bigint, primary key (run_id, load_id)
    );
    create table if not exists change_feed.chosen_day (
        only_row boolean primary key default true check (only_row), as_of date
    );
    {% if execute -%}
        {#-
          A retry of a run of the pipeline continues the previous try, and must consume the same
          loads.
        -#}
        {%- set run_id = env_var("PIPELINE_RUN_ID", invocation_id) | replace("'", "''") -%}
    delete from change_feed.loads_at_start where run_id <> '{{ run_id }}';
    insert into change_feed.loads_at_start (run_id, load_id)
    select '{{ run_id }}', load_id
    from {{ source("raw", "loads") }}
    where superseded_by is null and not exists (select 1 from change_feed.loads_at_start)
    on conflict do nothing;
    {%- endif %}
{%- endmacro %}
