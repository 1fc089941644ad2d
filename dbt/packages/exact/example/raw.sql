-- The raw layer of the example, with the first landed files: prices and orders.
-- psql --file raw.sql; run it again to start again.
create extension if not exists btree_gist; -- for models with a window
drop schema if exists example_raw, example, change_feed cascade;
create schema example_raw;

create table example_raw.loads (
    load_id bigint generated always as identity primary key,
    source text not null,
    landed_on date not null,
    origin text not null default 'zone',
    superseded_by bigint,
    retired_at timestamptz
);
create table example_raw.orders (
    order_id text,
    product_id text,
    ordered_on text,
    quantity text,
    _file text not null,
    _line bigint not null,
    _load_id bigint not null,
    _partition text not null
);
create table example_raw.prices (
    product_id text,
    valid_from text,
    price text,
    _file text not null,
    _line bigint not null,
    _load_id bigint not null,
    _partition text not null
);

insert into example_raw.loads (source, landed_on) values
('prices', '2026-01-01'),
('orders', '2026-01-05');
insert into example_raw.prices values
('tea', '2026-01-01', '4.00', 'prices.csv', 1, 1, '2026-01-01'),
('cup', '2026-01-01', '9.00', 'prices.csv', 2, 1, '2026-01-01');
insert into example_raw.orders values
('o1', 'tea', '2026-01-02', '2', 'orders.csv', 1, 2, '2026-01-05'),
('o2', 'cup', '2026-01-05', '1', 'orders.csv', 2, 2, '2026-01-05'),
('o3', 'tea', '2026-01-05', 'two', 'orders.csv', 3, 2, '2026-01-05');
