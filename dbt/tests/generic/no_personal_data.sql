{#-
  A JSON or text column contains no e-mail address, phone number or card number. The test returns
  the rows that do, and the kinds.

  It has patterns of its own, stricter than those of the masking, which may mask more
  (macros/portable/personal_data.sql). With the masking's patterns, it would pass what they miss.

  Arguments
    date_column, days: only the rows of the last `days` days of the data are tested, so that the
      test does not cost more each day
-#}
{% test no_personal_data(model, column_name, date_column=none, days=30) %}
{%- set between = "[ .-]?" %}
{%- set four = "[0-9]{4}" %}
{%- set kinds = {
    "email": "[a-z0-9]@[a-z0-9-]+[.][a-z]",
    "phone": "[+][1-9]([ .()-]{0,2}[0-9]){7,14}|([(][2-9][0-9]{2}[)] ?"
        ~ "|(^|[^[:alnum:]-])[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-]" ~ four ~ "([^0-9-]|$)",
    "card": "(^|[^[:alnum:]])(" ~ [
        "(4[0-9]{3}|5[1-5][0-9]{2}|6011|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)"
            ~ "(" ~ between ~ four ~ "){3}",
        "3[47][0-9]{2}([0-9]{11}|[ .-][0-9]{6}[ .-][0-9]{5})",
    ] | join("|") ~ ")([^[:alnum:]]|$)",
} %}

select *
from (
    select
        rows_searched.*,
        concat_ws(','
            {%- for kind, expression in kinds.items() %}
            , case when {{ has_string_like(column_name, expression) }} then '{{ kind }}' end
            {%- endfor %}
        ) as kinds
    from {{ model }} as rows_searched
    where
        -- All of them have an @, or eight digits close together. Few rows do, and to search JSON
        -- takes long.
        {{ has_at_or_eight_digits(column_name) }}
        {% if date_column %}and {{ date_column }} > {{ days_before_today(days) }}{% endif %}
) as searched
where kinds <> ''

{% endtest %}
