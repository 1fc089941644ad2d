{#-
  No e-mail address, phone number or card number stands in a JSON or text column. Shows the rows and the kinds.

  Arguments
    date_column, days: only the rows of the last `days` days of the data count, so that the test does not cost more each day
-#}
{% test no_personal_data(model, column_name, date_column=none, days=30) %}

select
    searched.*,
    {{ personal_data_in("searched_text") }} as kinds
from (
    select
        *,
        cast({{ column_name }} as text) as searched_text
    from {{ model }}
    {% if date_column %}where {{ date_column }} > {{ days_before_today(days) }}{% endif %}
) as searched
where {{ personal_data_in("searched_text") }} is not null

{% endtest %}
