{#-
  Every combination of scores has a segment, and every segment is the first match of some
  combination.
-#}
with scores as (
    {% for score in range(1, 6) -%}
    select {{ score }} as score
    {{ "union all" if not loop.last }}
    {% endfor %}
),

matches as (
    select
        r.score as r_score,
        f.score as f_score,
        m.score as m_score,
        min(segments.priority) as priority
    from scores as r
    cross join scores as f
    cross join scores as m
    left join {{ ref('rfm_segments') }} as segments
        on
            r.score between segments.r_min and segments.r_max
            and f.score between segments.f_min and segments.f_max
            and m.score between segments.m_min and segments.m_max
    group by r.score, f.score, m.score
)

select
    'scores without a segment' as problem,
    r_score,
    f_score,
    m_score,
    cast(null as text) as segment
from matches
where priority is null
union all
select
    'segment that is never the first' as problem,
    cast(null as integer) as r_score,
    cast(null as integer) as f_score,
    cast(null as integer) as m_score,
    segments.segment
from {{ ref('rfm_segments') }} as segments
left join matches on segments.priority = matches.priority
where matches.priority is null
