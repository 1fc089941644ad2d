{#-
  The first-time cohort is the new users of its period, and the recurring cohort its active users.
  Those of them who come back in the next period are the retained users of that period.
-#}
with retention as (
    select
        cells.return_start,
        cohorts.*
    from {{ ref('retention_cohorts') }} as cohorts
    inner join {{ ref('int_retention_cells') }} as cells
        on
            cohorts.grain = cells.grain
            and cohorts.cohort_start = cells.cohort_start
            and cohorts.period_index = cells.period_index
)

select
    retention.retention_type,
    retention.grain,
    retention.cohort_start,
    retention.period_index,
    retention.retained_users
from retention
inner join {{ ref('growth_accounting') }} as growth
    on retention.grain = growth.grain and retention.return_start = growth.period_start
where
    retention.retained_users <> case
        when retention.period_index = 0 and retention.retention_type = 'first_time'
            then growth.new_users
        when retention.period_index = 0 then growth.active_users
        {% if not var("returning_event_types") -%}
        when retention.period_index = 1 and retention.retention_type = 'recurring'
            then growth.retained_users
        {%- endif %}
    end
