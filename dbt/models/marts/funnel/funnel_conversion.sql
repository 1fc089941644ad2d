{{
    config(
        rebuild_key=['funnel_id', 'entry_date'],
        indexes=[
            {
                'columns': [
                    'funnel_id', 'entry_date', 'dimension', 'dimension_value', 'step_number'
                ],
                'unique': true,
            }
        ],
    )
}}

{% set dimensions = ["total", "device", "country", "plan"] %}

with entries as (
    select * from {{ ref('int_funnel_entries') }}
    where {{ exact.affected('funnel_id', 'entry_date') }}
),

counted as (
    {% for dimension in dimensions -%}
    select
        funnel_id,
        entry_date,
        '{{ dimension }}' as dimension,
        {{ "'total'" if dimension == "total" else dimension }} as dimension_value,
        step_number,
        count(*) as users,
        {{ median('seconds_from_previous') }} as median_seconds
    from entries
    group by funnel_id, entry_date, step_number{{ ", " ~ dimension if dimension != "total" }}
    {{ "union all" if not loop.last }}
    {% endfor %}
),

-- Includes the steps that nobody has reached.
cells as (
    select
        entered.funnel_id,
        steps.mode,
        entered.dimension,
        entered.dimension_value,
        entered.entry_date,
        steps.step_number,
        case
            when steps.mode = 'any' then 'any ' || steps.step_number else steps.event_type
        end as step_name,
        coalesce(counted.users, 0) as users,
        entered.users as entered_users,
        coalesce(
            lag(counted.users) over (
                partition by
                    entered.funnel_id,
                    entered.entry_date,
                    entered.dimension,
                    entered.dimension_value
                order by steps.step_number
            ), 0
        ) as previous_users,
        counted.median_seconds
    from counted as entered
    inner join {{ ref('int_funnel_steps') }} as steps on entered.funnel_id = steps.funnel_id
    left join counted
        on
            entered.funnel_id = counted.funnel_id
            and entered.entry_date = counted.entry_date
            and entered.dimension = counted.dimension
            and entered.dimension_value = counted.dimension_value
            and steps.step_number = counted.step_number
    where entered.step_number = 1
)

select
    funnel_id,
    mode,
    dimension,
    dimension_value,
    entry_date,
    step_number,
    step_name,
    cast(users as integer) as users,
    {{ ratio('users', 'entered_users') }} as conversion_from_start,
    case when step_number > 1 then {{ ratio('users', 'previous_users') }} end
        as conversion_from_previous,
    cast(median_seconds as numeric(18, 3)) as median_seconds_from_previous
from cells

-- The keys that a change upstream affects.
{{ exact.affected_by('int_funnel_entries', ['funnel_id', 'entry_date']) }}
