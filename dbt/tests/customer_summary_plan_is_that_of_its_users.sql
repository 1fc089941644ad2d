{#-
  Today's plan of a customer is the plan of the users who belong to it, which segments usage and
  funnels.
-#}
select
    customers.customer_id,
    users.user_id,
    customers.plan as customer_plan,
    plans.plan_id as user_plan
from {{ ref('customer_summary') }} as customers
inner join {{ ref('dim_users') }} as users
    on
        customers.customer_id = users.customer_id
        and {{ valid_at('users', end_of_day('customers.as_of')) }}
left join {{ ref('int_user_plans') }} as plans
    on users.user_id = plans.user_id and {{ valid_at('plans', end_of_day('customers.as_of')) }}
where customers.plan <> coalesce(plans.plan_id, 'none')
