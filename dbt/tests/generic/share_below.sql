{#-
  The share of rows for which `condition` holds is at most `maximum`: for what happens now and then,
  but not often, such as late rows. The test returns the numbers of rows if the share is larger. A
  few rows always pass, because their share means little.

  Arguments
    condition: a condition on columns of the row
    maximum: the largest accepted share, from 0 to 1
    minimum_rows: with fewer rows than this, the test passes
    date_column, days: only the rows of the last `days` days of the data are tested, so that the
      test does not cost more each day
-#}
{% test share_below(model, condition, maximum, minimum_rows=1, date_column=none, days=30) %}

select
    count(case when {{ condition }} then 1 end) as matching_rows,
    count(*) as all_rows
from {{ model }}
{% if date_column %}where {{ date_column }} > {{ days_before_today(days) }}{% endif %}
having
    count(*) >= {{ minimum_rows }}
    and count(case when {{ condition }} then 1 end) > {{ maximum }} * count(*)

{% endtest %}
