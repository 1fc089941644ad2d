{#- Every user is new in exactly one period of each grain, up to the last period that there is. -#}
with counted as (
    select
        grain,
        sum(new_users) as new_users,
        max(period_start) as last_period
    from {{ ref('growth_accounting') }}
    group by grain
),

users as (
    {%- for grain in ["day", "week", "month"] %}
    select
        '{{ grain }}' as grain,
        {{ period_of(grain, "first_date") }} as first_period
    from {{ ref('int_first_activity') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

expected as (
    select
        counted.grain,
        count(users.grain) as users
    from counted
    left join users on counted.grain = users.grain and counted.last_period >= users.first_period
    group by counted.grain
)

select
    counted.grain,
    counted.new_users,
    expected.users
from counted
inner join expected on counted.grain = expected.grain
where counted.new_users <> expected.users
