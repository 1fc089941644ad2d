-- Creates the roles of the server, as the superuser. Safe to apply again: every `make up` does so,
-- and a password changed in .env takes effect. The caller sets stack.<role> to a SCRAM verifier for
-- each role, so this file gets no password. warehouse.sql has the rights of each role inside a
-- warehouse.

do $$
declare
    login text;
begin
    foreach login in array array[
        'warehouse_owner', 'loader', 'transformer', 'reporter', 'airflow', 'superset'
    ] loop
        if not exists (select from pg_roles where rolname = login) then
            execute format('create role %I', login);
        end if;
        execute format(
            'alter role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls '
            'inherit password %L',
            login, current_setting('stack.' || login)
        );
        execute format('alter role %I set timezone to %L', login, 'UTC');
    end loop;
end
$$;

-- The owner creates warehouses, and sees and cleans up everything in them.
alter role warehouse_owner createdb;
grant loader, transformer to warehouse_owner;

-- The reporter changes nothing by mistake, and cannot block the server with one query.
alter role reporter set default_transaction_read_only to on;
alter role reporter set statement_timeout to '30s';

-- A role may connect only to the databases that grant it. The owner creates warehouses from
-- `postgres`.
revoke all on database postgres, template1 from public;
grant connect on database postgres to warehouse_owner;
