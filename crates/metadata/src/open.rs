//! Opening the database: lock, check, migrate, connect.
//!
//! Must not know any table. Invariant: what is opened is ours alone, readable from end to end and of exactly this
//! build's schema; anything else is refused with an error that says what to do.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::error::MetadataError;
use crate::{schema, sql};

/// Readers at once. Each is a thread with a page cache of 2 MiB.
const READERS: u32 = 4;

/// How long a caller waits for a connection, and a connection for a lock held by something outside this process.
const PATIENCE: Duration = Duration::from_secs(10);

/// The write-ahead log is cut back to this size after a burst.
const LOG_BYTES_KEPT: &str = "16777216";

/// The one connection that writes, with the schema brought up to date.
pub(crate) async fn writer(path: &Path) -> Result<SqlitePool, MetadataError> {
    create_private(path)?;
    let options = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        // What is replaced is overwritten: a credential does not stay behind in a free page.
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", LOG_BYTES_KEPT);
    let pool = pool(1, options).await.map_err(|source| MetadataError::opening(path.to_owned(), source))?;
    check(path, &pool).await?;
    schema::migrator().run(&pool).await.map_err(|source| migration_error(path, source))?;
    Ok(pool)
}

/// The connections that read. They cannot write, whatever statement they are given.
pub(crate) async fn readers(path: &Path) -> Result<SqlitePool, MetadataError> {
    let options = options(path).read_only(true);
    pool(READERS, options).await.map_err(|source| MetadataError::opening(path.to_owned(), source))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE)
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
}

/// Makes the file before SQLite does, readable by its owner only: repositories hold upstream credentials. SQLite gives
/// its log the same mode.
fn create_private(path: &Path) -> Result<(), MetadataError> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(source) if source.kind() == ErrorKind::AlreadyExists => {
            let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let reason = "it is not a plain file";
            if is_file { Ok(()) } else { Err(MetadataError::NotADatabase { path: path.to_owned(), reason }) }
        }
        Err(source) => Err(MetadataError::Io { path: path.to_owned(), op: "create", source }),
    }
}

/// Reads the whole file once: a damaged page is found here, and not by the pull that needs it.
async fn check(path: &Path, pool: &SqlitePool) -> Result<(), MetadataError> {
    let opening = |source| MetadataError::opening(path.to_owned(), source);
    let detail: String = sqlx::query_scalar(sql::CHECK).fetch_one(pool).await.map_err(opening)?;
    if detail == "ok" { Ok(()) } else { Err(MetadataError::Damaged { path: path.to_owned(), detail }) }
}

fn migration_error(path: &Path, source: MigrateError) -> MetadataError {
    let path = path.to_owned();
    match source {
        MigrateError::VersionMissing(found) if found > schema::SUPPORTED => {
            MetadataError::NewerSchema { path, found, supported: schema::SUPPORTED }
        }
        MigrateError::Execute(source) => MetadataError::opening(path, source),
        source => MetadataError::Migration { path, source },
    }
}
