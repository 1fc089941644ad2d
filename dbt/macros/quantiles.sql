{#-
  Quantiles of type 7 (the value at position (n - 1) * p, counted from 0 and interpolated linearly
  between its neighbours, which is what percentile_cont, numpy and spreadsheets give) at fifths, in
  exact arithmetic: percentile_cont works in floating point, and a value that equals a cut-off could
  then lie on either side of it.
-#}

{#-
  Aggregate: the quantile at `fifth` / 5 of `value`, where `place` numbers the rows from 1 in the
  order of the value and `rows` is how many there are. A value weighs 1 less its distance from the
  quantile's position, and nothing from a distance of 1 on.
-#}
{% macro quantile_at_fifth(value, place, rows, fifth) -%}
    {%- set distance = "abs((" ~ rows ~ " - 1) * " ~ fifth ~ " - (" ~ place ~ " - 1) * 5)" -%}
    sum(case when {{ distance }} < 5 then {{ value }} * (5 - {{ distance }}) end) * 0.2
{%- endmacro %}

{#-
  How many of the four cut-offs `cutoff`_1 to `cutoff`_4 the value lies above: 0 to 4, and the same
  for equal values.
-#}
{% macro cutoffs_below(value, cutoff) -%}
    {%- for fifth in range(1, 5) -%}
        case when {{ value }} > {{ cutoff }}_{{ fifth }} then 1 else 0 end{{ " + " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
