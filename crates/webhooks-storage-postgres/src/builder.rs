use std::fmt;

use deadpool_postgres::Pool;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, Socket};
use webhooks_core::{EncryptionKeys, Result, Sealed};

use crate::claim_memory::ClaimMemory;
use crate::database::Database;
use crate::migrations::{migrate, schema_version};
use crate::ordered_endpoints::OrderedEndpoints;
use crate::plain_storage::PlainStorage;
use crate::postgres_storage::PostgresStorage;
use crate::rescue_rest::RescueRest;
use crate::settings::Settings;
use crate::sweep::Rounds;
use crate::wake::{Connect, Wake, connector};

/// Makes a [`PostgresStorage`].
#[must_use = "nothing is connected without `connect`"]
pub struct PostgresBuilder {
    pool: Pool,
    schema: String,
    migrations: bool,
    listen: Option<Connect>,
    keys: EncryptionKeys,
}

impl PostgresStorage {
    /// A storage in the schema `public`, whose missing migrations are applied.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::connect`].
    pub async fn new(pool: Pool) -> Result<Self> {
        Self::builder(pool).connect().await
    }

    /// Begins a storage with settings.
    pub fn builder(pool: Pool) -> PostgresBuilder {
        PostgresBuilder {
            pool,
            schema: "public".into(),
            migrations: true,
            listen: None,
            keys: EncryptionKeys::none(),
        }
    }
}

impl PostgresStorage {
    /// The version of the schema, 0 where there is none of ours, and the newest one that this code
    /// knows. Nothing is changed.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::connect`], but for a version that this code cannot use.
    pub async fn schema_version(pool: Pool, schema: &str) -> Result<(u32, u32)> {
        let database = ready(pool, schema).await?;
        schema_version(&database).await
    }

    /// Applies the migrations that are missing, for a role that may, so that nodes can connect
    /// [without](PostgresBuilder::without_migrations).
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::connect`].
    pub async fn migrate(pool: Pool, schema: &str) -> Result<()> {
        let database = ready(pool, schema).await?;
        migrate(&database, true).await
    }
}

/// The database, after a look at whether it can be used.
async fn ready(pool: Pool, schema: &str) -> Result<Database> {
    let mut database = Database::new(pool, schema)?;
    let synchronous_commit = database.preflight().await?;
    database.settings = Settings::new(schema, &synchronous_commit);
    Ok(database)
}

impl PostgresBuilder {
    /// The schema that the tables are in: 1 to 48 characters of `a-z 0-9 _`, the first no digit.
    /// It is made if it is missing. Defaults to `public`.
    pub fn schema(mut self, name: &str) -> Self {
        self.schema = name.into();
        self
    }

    /// Only checks the version of the schema, for a role that may not change it. Defaults to
    /// applying what is missing.
    pub const fn without_migrations(mut self) -> Self {
        self.migrations = false;
        self
    }

    /// Hears of new work at once, on a connection of its own, which a pool could not give.
    /// Defaults to hearing only of this process's own work; other processes' is found by polling,
    /// once a second.
    pub fn listen<T>(mut self, config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        self.listen = Some(connector(config, tls));
        self
    }

    /// Encrypts the secrets and the values of headers of endpoints: the first key encrypts, all
    /// decrypt. Defaults to none: then they are stored as they are, and a warning is logged.
    /// [`PostgresStorage::reencrypt`] encrypts what is there already.
    pub fn encryption_keys(mut self, keys: EncryptionKeys) -> Self {
        self.keys = keys;
        self
    }

    /// Applies the migrations, or checks them.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) for a schema's name that is
    /// out of its bounds, for a schema that this code cannot use, for a database whose encoding is
    /// not UTF8 or whose version is below 13, and for a pooler before it that loses prepared
    /// statements; [`StorageError`](webhooks_core::WebhookError::StorageError) when the database
    /// fails, or the keys open none of the endpoints that were changed first.
    pub async fn connect(self) -> Result<PostgresStorage> {
        let database = ready(self.pool, &self.schema).await?;
        migrate(&database, self.migrations).await?;
        if self.keys.is_empty() {
            tracing::warn!(
                schema = database.schema(),
                "secrets of endpoints are stored as they are: no encryption key is given"
            );
        }
        let mut wake = Wake::new();
        if let Some(connect) = self.listen {
            wake = wake.listen(connect, database.schema());
        }
        let plain = PlainStorage {
            database,
            memory: ClaimMemory::new(),
            rescue_rest: RescueRest::new(),
            rounds: Rounds::default(),
            ordered: OrderedEndpoints::default(),
            wake,
        };
        let sealed = Sealed::new(plain, self.keys);
        sealed.check_keys().await?;
        Ok(PostgresStorage { sealed })
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("migrations", &self.migrations)
            .field("listens", &self.listen.is_some())
            .field("encryption_keys", &self.keys)
            .finish_non_exhaustive()
    }
}
