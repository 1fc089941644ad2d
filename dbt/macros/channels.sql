{#-
  The channels of marketing, as ad_spend names them, and how a visit is told to come through one. They stand in a macro and not
  in a seed, so that they are part of the definition of fact_sessions: a changed rule rebuilds it.

  The first rule that holds counts. Each condition of a rule must hold: `source` and `medium` are lists of values that the campaign
  link may have, in lower case; `referrer` is a list of patterns for the page that linked here, of which one must match;
  `untagged` is true for a visit without a campaign link. A team with its own names adds rules here.
-#}
{% macro channel_rules() -%}
    {%- set social_networks = ["facebook", "instagram", "meta", "linkedin", "twitter", "x", "tiktok", "reddit", "pinterest", "youtube"] -%}
    {{ return([
        {"channel": "newsletter", "medium": ["email", "e-mail", "newsletter"]},
        {"channel": "newsletter", "source": ["newsletter"]},
        {"channel": "paid_social", "medium": ["paid_social", "paid-social", "paidsocial", "social_paid"]},
        {"channel": "paid_social", "source": social_networks, "medium": ["cpc", "ppc", "cpm", "paid"]},
        {"channel": "display", "medium": ["display", "banner", "cpm", "programmatic"]},
        {"channel": "paid_search", "medium": ["cpc", "ppc", "sem", "paid", "paid_search", "paid-search", "paidsearch"]},
        {"channel": "organic", "medium": ["organic", "social", "organic_social"]},
        {"channel": "partner", "medium": ["referral", "partner", "affiliate"]},
        {"channel": "partner", "source": ["partner"]},
        {"channel": "organic", "untagged": true, "referrer": [
            "%://google.%", "%.google.%", "%bing.com%", "%duckduckgo.com%", "%search.yahoo.%", "%ecosia.org%", "%baidu.com%",
            "%yandex.%", "%facebook.com%", "%instagram.com%", "%linkedin.com%", "%reddit.com%", "%youtube.com%",
        ]},
        {"channel": "partner", "untagged": true, "referrer": ["http%"]},
        {"channel": "direct", "untagged": true},
    ]) }}
{%- endmacro %}

{#- The channel of a visit; other where its campaign link is one that no rule knows. -#}
{% macro channel_of(source, medium, referrer) -%}
    case
        {%- for rule in channel_rules() %}
        {%- set conditions = [] %}
        {%- if "source" in rule %}{% do conditions.append(source ~ " in ('" ~ rule.source | join("', '") ~ "')") %}{% endif %}
        {%- if "medium" in rule %}{% do conditions.append(medium ~ " in ('" ~ rule.medium | join("', '") ~ "')") %}{% endif %}
        {%- if rule.untagged %}{% do conditions.append(source ~ " is null and " ~ medium ~ " is null") %}{% endif %}
        {%- if "referrer" in rule %}
            {%- do conditions.append("(lower(" ~ referrer ~ ") like '" ~ rule.referrer | join("' or lower(" ~ referrer ~ ") like '") ~ "')") %}
        {%- endif %}
        when {{ conditions | join(" and ") }} then '{{ rule.channel }}'
        {%- endfor %}
        else 'other'
    end
{%- endmacro %}

{#- All that a channel may be: of the rules, of what no rule knows, and of conversions that no visit led to. -#}
{% macro channel_names() -%}
    {{ return((channel_rules() | map(attribute="channel") | unique | list) + ["other", "unattributed"]) }}
{%- endmacro %}
