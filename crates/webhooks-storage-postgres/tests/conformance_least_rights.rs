//! The conformance suite for a role that has exactly the rights that `docs/storage-postgres.md` lists,
//! and sessions whose settings are all others than usual.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use support::{client, config, drop_schema, fresh_schema, pool_of};
use tokio_postgres::NoTls;
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_postgres::PostgresStorage;
use webhooks_storage_testkit::{Backend, Capabilities};

const PAGE: &str = include_str!("../../../docs/storage-postgres.md");
/// What a database or a role may have set for its sessions.
const SETTINGS: &str = "-c default_transaction_isolation=repeatable\\ read \
    -c default_transaction_read_only=on -c synchronous_commit=off -c jit=on -c jit_above_cost=0 \
    -c search_path=nowhere -c TimeZone=America/St_Johns -c DateStyle=German,DMY \
    -c IntervalStyle=sql_standard -c bytea_output=escape -c standard_conforming_strings=off \
    -c escape_string_warning=off -c extra_float_digits=-15 -c transform_null_equals=on \
    -c array_nulls=off -c row_security=off -c lock_timeout=20s -c statement_timeout=30s \
    -c idle_in_transaction_session_timeout=10s -c plan_cache_mode=force_generic_plan";

struct LeastRights;

#[async_trait::async_trait]
impl Backend for LeastRights {
    type Storage = PostgresStorage;

    async fn fresh(&self) -> PostgresStorage {
        let schema = fresh_schema();
        restricted(&schema).await
    }

    async fn dispose(&self, storage: &PostgresStorage) {
        let schema = storage.schema();
        drop_schema(schema).await;
        let drop = format!("DROP OWNED BY {schema}; DROP ROLE {schema}");
        client().await.batch_execute(&drop).await.unwrap();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wakes: true,
            rewrites_credentials: true,
            documents: true,
            statistics: true,
        }
    }

    fn random_sequences(&self) -> u32 {
        4
    }
}

webhooks_storage_testkit::conformance!(LeastRights);

/// A storage of a role of the schema's name, on a schema that its owner has migrated.
async fn restricted(schema: &str) -> PostgresStorage {
    drop(support::storage(schema).await);
    let grants = grants("webhooks_role").replace("webhooks_role", schema);
    let make = format!(
        "REVOKE ALL ON FUNCTION {schema}.webhook_send, \
         {schema}.webhook_event_type_problem, {schema}.webhook_name_problem, \
         {schema}.webhook_data_problem, {schema}.webhook_trace_problem, \
         {schema}.webhook_order_part, {schema}.webhook_first_id, {schema}.webhook_last_id \
         FROM PUBLIC; CREATE ROLE {schema} LOGIN PASSWORD 'hunter2'; SET search_path = {schema}; {}",
        grants.replace("SCHEMA webhooks", &format!("SCHEMA {schema}"))
    );
    client().await.batch_execute(&make).await.unwrap();
    let mut config = config();
    config.user(schema).password("hunter2");
    let listens = config.clone();
    config.options(SETTINGS);
    let storage = PostgresStorage::builder(pool_of(config, 10)).schema(schema);
    storage.listen(listens, NoTls).connect().await.unwrap()
}

/// The statements of the page that name this role.
fn grants(role: &str) -> String {
    let mut blocks = PAGE.split("```sql\n").skip(1);
    let block = blocks.find(|block| block.contains(&format!("TO {role};")));
    block.unwrap().split("```").next().unwrap().into()
}

#[tokio::test]
async fn a_role_that_only_sends_needs_two_rights() {
    let schema = fresh_schema();
    let storage = support::storage(&schema).await;
    let role = format!("{schema}_sends");
    let make = format!(
        "REVOKE ALL ON FUNCTION {schema}.webhook_send, \
         {schema}.webhook_event_type_problem, {schema}.webhook_name_problem, \
         {schema}.webhook_data_problem, {schema}.webhook_trace_problem FROM PUBLIC; \
         CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; SET search_path = {schema}; {}",
        grants("sending_role")
            .replace("sending_role", &role)
            .replace("SCHEMA webhooks", &format!("SCHEMA {schema}"))
    );
    let admin = client().await;
    admin.batch_execute(&make).await.unwrap();
    let mut config = config();
    config.user(&role).password("hunter2");
    let (sender, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let send = format!("SELECT {schema}.webhook_send('user.created', '1')");
    sender.batch_execute(&send).await.unwrap();
    let look = format!("SELECT * FROM {schema}.webhook_outbox");
    sender.batch_execute(&look).await.unwrap_err();
    assert_eq!(storage.read_outbox(10, 1 << 20).await.unwrap().len(), 1);
    drop((sender, storage));
    drop_schema(&schema).await;
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    admin.batch_execute(&drop).await.unwrap();
}
