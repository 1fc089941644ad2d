{{
    config(
        rebuild_key=['shipment_id'],
        change_log=['shipment_id', 'order_id', 'order_date'],
        indexes=[
            {'columns': ['shipment_id'], 'unique': true},
            {'columns': ['order_id']},
            {'columns': ['order_date']},
            {'columns': ['is_late', 'late_from']},
            {'columns': ['status', 'lost_from']},
        ],
    )
}}

with shipments as (
    select
        *,
        {{ stated_moment('promised_at') }} as promised_until
    from {{ ref('stg_shipments') }}
    where {{ exact.affected('shipment_id') }}
),

dated as (
    select
        shipments.*,
        orders.customer_id,
        coalesce(orders.customer_sk, {{ unknown_key() }}) as customer_sk,
        orders.order_date,
        orders.ordered_at,
        case
            when shipments.delivered_at is null
                then {{ plus_days(day_of('shipments.promised_until'), 1) }}
        end as late_from,
        case
            when shipments.delivered_at is null and shipments.shipped_at is not null
                then {{ plus_days(
                    day_of('coalesce(shipments.promised_until, shipments.shipped_at)'),
                    var('lost_after_days') + 1
                ) }}
        end as lost_from
    from shipments
    left join {{ ref('fact_orders') }} as orders on shipments.order_id = orders.order_id
)

select
    dated.shipment_id,
    dated.order_id,
    dated.customer_id,
    dated.customer_sk,
    dated.carrier,
    case
        when dated.delivered_at is not null then 'delivered'
        when dated.shipped_at is null then 'pending'
        when dated.lost_from <= today.as_of then 'lost'
        else 'in_transit'
    end as status,
    dated.shipped_at,
    dated.promised_at,
    dated.delivered_at,
    coalesce(
        {{ stated_moment('dated.delivered_at') }} > dated.promised_until,
        dated.late_from <= today.as_of,
        false
    ) as is_late,
    dated.late_from,
    dated.lost_from,
    {{ hours_between('dated.ordered_at', 'dated.shipped_at') }} as hours_to_ship,
    {{ hours_between('dated.shipped_at', 'dated.delivered_at') }} as hours_to_deliver,
    dated.order_date,
    {{ day_of('dated.shipped_at') }} as shipped_date
from dated
cross join {{ ref('as_of') }} as today

-- The keys that a change upstream affects. A shipment that landed before its order gets the
-- customer and the times of the order when the order lands. As days pass, a shipment that has not
-- arrived becomes late, and then lost. If "today" becomes an earlier day, it is no longer.
{{ exact.affected_by('stg_shipments', ['shipment_id']) }}
{% call exact.affected_when() %}
    select shipments.shipment_id
    from {{ exact.changes('fact_orders') }}
    inner join {{ ref('stg_shipments') }} as shipments on changes.order_id = shipments.order_id
{% endcall %}
{% for state, other_state, since in [
    ('held.is_late', 'not held.is_late', 'late_from'),
    ("held.status = 'lost'", "held.status = 'in_transit'", 'lost_from'),
] %}
{% call exact.affected_when() %}
    select held.shipment_id
    from {{ this }} as held
    inner join {{ ref('as_of') }} as today on held.{{ since }} <= today.as_of
    where {{ other_state }}
    union all
    select held.shipment_id
    from {{ this }} as held
    inner join {{ ref('as_of') }} as today on held.{{ since }} > today.as_of
    where {{ state }}
{% endcall %}
{% endfor %}
