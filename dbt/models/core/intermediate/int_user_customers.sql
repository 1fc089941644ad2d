{{
    config(
        rebuild_key=['user_id'],
        change_log=['user_id', 'customer_id', 'valid_from', 'valid_to'],
        indexes=[
            {'columns': ['user_id', 'valid_from'], 'unique': true},
            {'columns': ['customer_id']},
        ],
    )
}}

with versions as (
    select
        user_id,
        customer_id,
        {{ day_of('valid_from') }} as valid_from,
        {{ day_of('valid_to') }} as valid_to
    from {{ ref('dim_users') }}
    where {{ exact.affected('user_id') }}
),

-- The last version of a day counts for the day; earlier ones begin and end on it.
days as (
    select
        *,
        lag(customer_id) over (partition by user_id order by valid_from) = customer_id
        and lag(valid_to) over (partition by user_id order by valid_from) = valid_from as goes_on
    from versions
    where valid_from < valid_to or valid_to is null
),

-- A new version of a user at the same customer continues the window, and changes nothing here.
numbered as (
    select
        *,
        sum(case when goes_on then 0 else 1 end) over (
            partition by user_id order by valid_from
        ) as window_number
    from days
)

select
    user_id,
    customer_id,
    min(valid_from) as valid_from,
    case when count(valid_to) = count(*) then max(valid_to) end as valid_to
from numbered
where customer_id is not null
group by user_id, customer_id, window_number

-- The keys that a change upstream affects.
{{ exact.affected_by('dim_users', ['user_id']) }}
