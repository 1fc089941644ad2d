{#-
  Quantiles of type 7 at fifths: the value at position (n - 1) * p, counted from 0 and interpolated
  linearly between its neighbours, as in percentile_cont, numpy and spreadsheets. The arithmetic is
  exact. percentile_cont works in floating point, where a value that equals a cut-off could be on
  either side of it.
-#}

{#-
  Aggregate: the quantile at `fifth` / 5 of `value`. `place` numbers the rows from 1 in the order of
  the value, and `rows` is their number. The weight of a value is 1 minus its distance from the
  quantile's position, and 0 from a distance of 1 on.
-#}
{% macro quantile_at_fifth(value, place, rows, fifth) -%}
    {%- set distance = "abs((" ~ rows ~ " - 1) * " ~ fifth ~ " - (" ~ place ~ " - 1) * 5)" -%}
    sum(case when {{ distance }} < 5 then {{ value }} * (5 - {{ distance }}) end) * 0.2
{%- endmacro %}

{#-
  The number of the four cut-offs `cutoff`_1 to `cutoff`_4 that the value is above: 0 to 4, and the
  same for equal values.
-#}
{% macro cutoffs_below(value, cutoff) -%}
    {%- for fifth in range(1, 5) -%}
        case when {{ value }} > {{ cutoff }}_{{ fifth }} then 1 else 0 end
        {{- " + " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
