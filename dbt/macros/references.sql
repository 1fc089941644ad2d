{#-
  The references from facts to dimensions: the fact, its column that names the dimension's row, its
  column with the surrogate key of the version or the unknown member, and its day. A shipment or a
  return names the row through its order or order line. A shipment without its order that has not
  left yet has no day.
-#}
{% macro references() -%}
    {{ return([
        ("fact_events", "user_id", "user_sk", "event_date"),
        ("fact_sessions", "user_id", "user_sk", "session_date"),
        ("fact_sessions", "customer_id", "customer_sk", "session_date"),
        ("fact_orders", "user_id", "user_sk", "order_date"),
        ("fact_orders", "customer_id", "customer_sk", "order_date"),
        ("fact_order_items", "customer_id", "customer_sk", "order_date"),
        ("fact_order_items", "product_id", "product_sk", "order_date"),
        ("fact_payments", "customer_id", "customer_sk", "paid_date"),
        ("fact_shipments", "order_id", "customer_sk", "coalesce(order_date, shipped_date)"),
        ("fact_returns", "order_item_id", "customer_sk", "returned_date"),
        ("fact_returns", "order_item_id", "product_sk", "returned_date"),
        ("fact_inventory_daily", "product_id", "product_sk", "stock_date"),
        ("fact_subscription_periods", "customer_id", "customer_sk", "period_start"),
    ]) }}
{%- endmacro %}
