{#-
  Invalidation rules that several models share. docs/explanation/exactness.md explains what a rule
  is.
-#}

{#-
  A version of a dimension affects the facts in its time. `facts` has the dimension's natural `key`,
  the `moment` of a fact and the columns of `rebuild_key`.
-#}
{% macro affected_by_versions(dimension, facts, key, moment, rebuild_key) -%}
{% call exact.affected_when() %}
    select facts.{{ rebuild_key | join(", facts.") }}
    from {{ exact.changes(dimension) }}
    inner join {{ facts }} as facts
        on changes.{{ key }} = facts.{{ key }} and {{ valid_at("changes", "facts." ~ moment) }}
{% endcall %}
{%- endmacro %}

{#-
  An exchange rate affects the amounts in its currency on its days. An amount without a currency is
  in the reporting currency, whose rate is always 1.
-#}
{% macro affected_by_rates(facts, day, rebuild_key, currency="currency") -%}
{% call exact.affected_when() %}
    select facts.{{ rebuild_key | join(", facts.") }}
    from {{ exact.changes("int_exchange_rates") }}
    inner join {{ facts }} as facts
        on changes.currency = facts.{{ currency }} and {{ valid_at("changes", "facts." ~ day) }}
    where {{ exact.within_changed("int_exchange_rates", "facts." ~ day) }}
{% endcall %}
{%- endmacro %}

{#-
  The keys of `others` that the model lacks, and those that only the model has. `others` is a
  relation or a subquery with the columns `rebuild_key`. The model names it in compares_to.
-#}
{% macro affected_by_comparison(others, rebuild_key) -%}
{%- set values, same = [], [] -%}
{%- for column in rebuild_key -%}
    {%- do values.append("coalesce(others." ~ column ~ ", held." ~ column ~ ")") -%}
    {%- do same.append("others." ~ column ~ " = held." ~ column) -%}
{%- endfor -%}
{% call exact.affected_when() %}
    select {{ values | join(", ") }}
    from {{ others }} as others
    full join {{ this }} as held on {{ same | join(" and ") }}
    where others.{{ rebuild_key[0] }} is null or held.{{ rebuild_key[0] }} is null
{% endcall %}
{%- endmacro %}

{#- A month that has left the calendar affects the rows that the model has of it. -#}
{% macro affected_by_lost_months() -%}
{% call exact.affected_when() %}
    select held.customer_id, held.month_start
    from {{ exact.changes("int_month_ends") }}
    inner join {{ this }} as held on changes.month_start = held.month_start
    where
        changes.month_start not in (
            select months.month_start from {{ ref("int_month_ends") }} as months
        )
{% endcall %}
{%- endmacro %}

{#- Condition: "today" is no longer the day for which the model's rows were built. -#}
{% macro today_has_moved() -%}
    exists (
        select 1
        from {{ this }} as held
        cross join {{ ref("as_of") }} as today
        where held.as_of <> today.as_of
    )
{%- endmacro %}
