//! Many nodes may start at once, on schemas of their own version and of later ones.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use support::{builder, client, drop_schema, fresh_schema, pool};
use webhooks_core::WebhookError;
use webhooks_storage_postgres::PostgresStorage;

async fn set_version(schema: &str, version: i32, compatible_from: i32) {
    let sql = format!(
        "INSERT INTO \"{schema}\".webhook_migrations (version, compatible_from) \
         VALUES ({version}, {compatible_from})"
    );
    client().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_migrate_at_once() {
    let schema = fresh_schema();
    let nodes: Vec<_> = (0..8)
        .map(|_| tokio::spawn(builder(&schema).connect()))
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    let sql = format!("SELECT version FROM \"{schema}\".webhook_migrations");
    let rows = client().await.query(&sql, &[]).await.unwrap();
    let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(versions, [1], "each is applied once");
    drop_schema(&schema).await;
}

#[tokio::test]
async fn the_promised_columns_and_indexes_are_there() {
    let schema = fresh_schema();
    builder(&schema).connect().await.unwrap();
    let client = client().await;
    let sql = format!(
        "SET search_path = \"{schema}\"; \
         SELECT id, url, secret, events, enabled, rate_limit_rps, headers, timeout_seconds, \
            created_at, updated_at FROM webhook_endpoints; \
         SELECT id, endpoint_id, event_type, payload, attempts, max_retries, next_retry_at, \
            status, created_at, updated_at FROM webhook_queue; \
         SELECT 'idx_webhook_queue_status'::regclass, 'idx_webhook_queue_next_retry'::regclass"
    );
    client.batch_execute(&sql).await.unwrap();
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_later_schema_that_says_it_is_compatible_is_used() {
    let schema = fresh_schema();
    builder(&schema).connect().await.unwrap();
    set_version(&schema, 2, 1).await;
    builder(&schema).connect().await.unwrap();
    builder(&schema)
        .without_migrations()
        .connect()
        .await
        .unwrap();
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_later_schema_that_is_not_compatible_is_refused() {
    let schema = fresh_schema();
    builder(&schema).connect().await.unwrap();
    set_version(&schema, 7, 7).await;
    let error = builder(&schema).connect().await.unwrap_err();
    assert!(matches!(error, WebhookError::InvalidConfig(_)));
    assert!(
        error.to_string().contains("needs code of version 7"),
        "{error}"
    );
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_schema_without_tables_is_refused_where_migrations_are_off() {
    let error = builder(&fresh_schema())
        .without_migrations()
        .connect()
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("apply the migrations")
    );
}

#[tokio::test]
async fn a_name_that_needs_quotes_is_no_schema() {
    for name in ["", "Upper", "1st", "a b", "a\"b", "a.b", &"x".repeat(49)] {
        let error = PostgresStorage::builder(pool(1))
            .schema(name)
            .connect()
            .await;
        assert!(
            matches!(error, Err(WebhookError::InvalidConfig(_))),
            "{name:?}"
        );
    }
}

/// The error of a schema in which somebody else has made this.
async fn refused_beside(theirs: &str) -> String {
    let schema = fresh_schema();
    let make = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {theirs}");
    client().await.batch_execute(&make).await.unwrap();
    for storage in [builder(&schema), builder(&schema).without_migrations()] {
        let error = storage.connect().await.unwrap_err();
        assert!(matches!(error, WebhookError::InvalidConfig(_)), "{error:?}");
    }
    let error = builder(&schema).connect().await.unwrap_err().to_string();
    assert!(error.contains(&schema), "{error}");
    assert!(error.contains("another schema"), "{error}");
    drop_schema(&schema).await;
    error
}

#[tokio::test]
async fn a_table_of_versions_that_is_not_ours_is_named() {
    for columns in [
        "id serial, name text, run_on timestamp",
        "version bigint, compatible_from bigint",
        "version text, compatible_from integer",
        "version integer",
    ] {
        let theirs = format!("CREATE TABLE webhook_migrations ({columns})");
        let error = refused_beside(&theirs).await;
        assert!(error.contains("webhook_migrations"), "{error}");
    }
    let view = "CREATE VIEW webhook_migrations AS SELECT 'a' AS version";
    assert!(refused_beside(view).await.contains("webhook_migrations"));
}

#[tokio::test]
async fn other_things_under_our_names_are_named() {
    for (theirs, name) in [
        (
            "CREATE TABLE webhook_endpoints (id integer)",
            "webhook_endpoints",
        ),
        (
            "CREATE TABLE theirs (id integer); CREATE INDEX idx_webhook_queue_status ON theirs (id)",
            "idx_webhook_queue_status",
        ),
        (
            "CREATE FUNCTION webhook_send(text, json, text, text, interval, text, integer, integer, \
             text, text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
            "webhook_send",
        ),
    ] {
        let error = refused_beside(theirs).await;
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn the_version_is_told_before_and_after_it_is_migrated() {
    let schema = fresh_schema();
    let version = || PostgresStorage::schema_version(pool(1), &schema);
    assert_eq!(version().await.unwrap(), (0, 1));
    let refused = builder(&schema).without_migrations().connect().await;
    refused.unwrap_err();
    PostgresStorage::migrate(pool(1), &schema).await.unwrap();
    assert_eq!(version().await.unwrap(), (1, 1));
    let storage = builder(&schema).without_migrations().connect().await;
    drop(storage.unwrap());
    drop_schema(&schema).await;
}
