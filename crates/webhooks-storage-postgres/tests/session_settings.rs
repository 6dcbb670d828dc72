//! Nothing that the database, the role or the session has set changes what a call does.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::sync::Arc;

use deadpool_postgres::Hook;
use support::events::{claim, delivered, endpoint, event};
use support::{client, config, drop_schema, fresh_schema, pool_of};
use webhooks_core::storage::{Deleted, Expected, WebhookStorage};
use webhooks_core::{WebhookError, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

/// As of a role that somebody set them for.
fn with(settings: &[(&str, &str)]) -> tokio_postgres::Config {
    let options: Vec<_> = settings
        .iter()
        .map(|(name, value)| format!("-c {name}={value}"))
        .collect();
    let mut config = config();
    config.options(options.join(" "));
    config
}

/// Sends, claims and settles on one connection after the other; how many were delivered.
async fn deliver(storage: &PostgresStorage, worker: &str, times: usize) -> usize {
    let worker = WorkerId::named(worker);
    let mut n = 0;
    for _ in 0..times {
        let now = storage.beat(Some(&worker), None).await.unwrap().now;
        let sent = [event("a", b"{}", now)];
        storage.enqueue(&sent, None, now).await.unwrap();
        let claimed = storage.claim(&claim(&worker, 3, now)).await.unwrap();
        let outcomes: Vec<_> = claimed.deliveries.iter().map(delivered).collect();
        n += storage.settle(&worker, &outcomes, now).await.unwrap().len();
        storage.save_endpoint(&endpoint("a")).await.unwrap();
    }
    n
}

async fn isolated(level: &str) {
    let schema = fresh_schema();
    let config = with(&[("default_transaction_isolation", level)]);
    let builder = PostgresStorage::builder(pool_of(config, 8)).schema(&schema);
    let storage = Arc::new(builder.connect().await.unwrap());
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let nodes: Vec<_> = (0..8)
        .map(|n| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move { deliver(&storage, &format!("worker_{n}"), 20).await })
        })
        .collect();
    let mut all = 0;
    for node in nodes {
        all += node.await.unwrap();
    }
    all += deliver(&storage, "worker_last", 60).await;
    assert_eq!(all, 220, "each once");
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_where_repeatable_read_is_the_default() {
    isolated("repeatable\\ read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_where_serializable_is_the_default() {
    isolated("serializable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_says_its_settings_itself_and_leaves_none_behind() {
    let schema = fresh_schema();
    let config = with(&[
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("synchronous_commit", "off"),
        ("jit", "on"),
        ("jit_above_cost", "0"),
    ]);
    let pool = pool_of(config, 2);
    let builder = PostgresStorage::builder(pool.clone()).schema(&schema);
    let storage = builder.connect().await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let note = format!(
        "SET search_path = \"{schema}\"; \
         CREATE TABLE seen (isolation text, commits text, jit text, path text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            INSERT INTO {schema}.seen VALUES (current_setting('transaction_isolation'), \
                current_setting('synchronous_commit'), current_setting('jit'), \
                current_setting('search_path')); \
            RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON webhook_queue EXECUTE FUNCTION note(); \
         CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON webhook_endpoints \
            EXECUTE FUNCTION note()"
    );
    client().await.batch_execute(&note).await.unwrap();
    assert_eq!(deliver(&storage, "worker_a", 5).await, 5);
    let now = storage.beat(None, None).await.unwrap().now;
    let deleted = storage
        .delete_endpoint("a", Expected::Any, now)
        .await
        .unwrap();
    assert_eq!(deleted, Deleted::Deleted);
    let seen = format!("SELECT DISTINCT isolation, commits, jit, path FROM {schema}.seen");
    let seen = client().await.query(&seen, &[]).await.unwrap();
    let seen: Vec<[String; 4]> = seen
        .iter()
        .map(|row| [0, 1, 2, 3].map(|n| row.get(n)))
        .collect();
    let path = format!("pg_catalog, {schema}");
    assert_eq!(
        seen,
        [["read committed".into(), "on".into(), "off".into(), path]]
    );
    for _ in 0..2 {
        let one = pool.get().await.unwrap();
        let left = one.query_one("SELECT current_setting('jit')", &[]).await;
        assert_eq!(left.unwrap().get::<_, &str>(0), "on");
    }
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_stricter_level_of_commits_is_kept() {
    let schema = fresh_schema();
    let config = with(&[("synchronous_commit", "remote_apply")]);
    let builder = PostgresStorage::builder(pool_of(config, 2)).schema(&schema);
    let storage = builder.connect().await.unwrap();
    let note = format!(
        "CREATE TABLE {schema}.seen (commits text); \
         CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            INSERT INTO {schema}.seen VALUES (current_setting('synchronous_commit')); \
            RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER INSERT ON {schema}.webhook_endpoints \
            EXECUTE FUNCTION {schema}.note()"
    );
    client().await.batch_execute(&note).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let seen = format!("SELECT commits FROM {schema}.seen");
    let seen = client().await.query_one(&seen, &[]).await.unwrap();
    assert_eq!(seen.get::<_, &str>(0), "remote_apply");
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn functions_and_operators_that_somebody_put_first_are_not_ours() {
    let (schema, evil) = (fresh_schema(), fresh_schema());
    let make = format!(
        "CREATE SCHEMA {evil}; \
         CREATE FUNCTION {evil}.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'; \
         CREATE OPERATOR {evil}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {evil}.no); \
         CREATE FUNCTION {evil}.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'"
    );
    client().await.batch_execute(&make).await.unwrap();
    let path = format!("{evil},pg_catalog");
    let pool = pool_of(with(&[("search_path", &path)]), 2);
    let builder = PostgresStorage::builder(pool).schema(&schema);
    let storage = builder.connect().await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    assert_eq!(deliver(&storage, "worker_a", 5).await, 5);
    assert!(storage.get_endpoint("a").await.unwrap().is_some());
    drop(storage);
    drop_schema(&schema).await;
    drop_schema(&evil).await;
}

#[tokio::test]
async fn texts_come_back_as_they_were_whatever_encoding_the_session_was_left_in() {
    let schema = fresh_schema();
    let latin = Hook::async_fn(|client, _| {
        Box::pin(async move {
            let set = client.batch_execute("SET client_encoding = 'LATIN1'").await;
            set.map_err(deadpool_postgres::HookError::Backend)
        })
    });
    let recycling = deadpool_postgres::ManagerConfig::default();
    let manager =
        deadpool_postgres::Manager::from_config(config(), tokio_postgres::NoTls, recycling);
    let pool = deadpool_postgres::Pool::builder(manager)
        .post_create(latin)
        .build()
        .unwrap();
    let builder = PostgresStorage::builder(pool).schema(&schema);
    let storage = builder.connect().await.unwrap();
    let mut odd = endpoint("a");
    odd.tenant = Some("münchen \u{1f600} 東京".into());
    storage.save_endpoint(&odd).await.unwrap();
    assert_eq!(storage.get_endpoint("a").await.unwrap().unwrap(), odd);
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn the_sql_function_has_one_rule_for_types_in_every_session() {
    let schema = fresh_schema();
    drop(support::storage(&schema).await);
    let (client, connection) = with(&[("standard_conforming_strings", "off")])
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let send = |event: &str| format!("SELECT {schema}.webhook_send('{event}', '1')");
    client.batch_execute(&send("user.created")).await.unwrap();
    for bad in ["user/created", "user created", "user..created", ".a"] {
        assert!(client.batch_execute(&send(bad)).await.is_err(), "{bad}");
    }
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_by_its_name() {
    let admin = client().await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = fresh_schema();
        let make =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        admin.batch_execute(&make).await.unwrap();
        let mut config = config();
        config.dbname(&name);
        let pool = pool_of(config, 2);
        let error = PostgresStorage::new(pool.clone()).await.unwrap_err();
        pool.close();
        drop(pool);
        assert!(matches!(error, WebhookError::InvalidConfig(_)));
        let text = error.to_string();
        assert!(text.contains(encoding) && text.contains("UTF8"), "{text}");
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.batch_execute(&drop).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_and_their_kind_are_tried_again() {
    let schema = fresh_schema();
    let builder = PostgresStorage::builder(pool_of(config(), 4)).schema(&schema);
    let storage = builder.connect().await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    storage.save_endpoint(&endpoint("b")).await.unwrap();
    // A trigger that refuses as a conflict does, a few times.
    let refuse = format!(
        "CREATE SEQUENCE {schema}.tries; \
         CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            IF nextval('{schema}.tries') % 4 <> 0 THEN \
                RAISE EXCEPTION 'in the way' USING ERRCODE = \
                    CASE currval('{schema}.tries') % 2 WHEN 0 THEN '40001' ELSE '40P01' END; \
            END IF; RETURN NULL; END $$; \
         CREATE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON {schema}.webhook_queue \
            EXECUTE FUNCTION {schema}.refuse()"
    );
    client().await.batch_execute(&refuse).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    let worker = WorkerId::named("worker_a");
    let sent = [event("a", b"{}", now), event("b", b"{}", now)];
    storage.enqueue(&sent, None, now).await.unwrap();
    let tries = format!("SELECT last_value FROM {schema}.tries");
    let tries = client().await.query_one(&tries, &[]).await.unwrap();
    assert_eq!(tries.get::<_, i64>(0), 4);
    let off = format!("ALTER TABLE {schema}.webhook_queue DISABLE TRIGGER refuse");
    client().await.batch_execute(&off).await.unwrap();
    let claimed = storage.claim(&claim(&worker, 10, now)).await.unwrap();
    assert_eq!(claimed.deliveries.len(), 2, "stored once");
    drop(storage);
    drop_schema(&schema).await;
}
