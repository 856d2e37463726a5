//! The handle on the database.
//!
//! Must not know any table. Invariant: everything that writes goes through the one writing connection and, when it is
//! more than one statement, takes the write lock first (`BEGIN IMMEDIATE`): a transaction that starts by reading and
//! writes later fails at once when another has written in between, however long it is willing to wait.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{Connection as _, Sqlite, SqlitePool, Transaction};

use crate::error::MetadataError;
use crate::open;
use crate::process_lock::ProcessLock;
use crate::sealing::SealingKeys;
use crate::sql;

/// The metadata database. Cheap to clone; all clones share its connections.
#[derive(Clone, Debug)]
pub struct Metadata {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: SqlitePool,
    readers: SqlitePool,
    session: i64,
    keys: Mutex<SealingKeys>,
    lock: Mutex<Option<ProcessLock>>,
}

impl Metadata {
    /// Opens the database at `path`, makes it when it is not there, and brings its schema up to date. Its directory must
    /// exist. `<path>.lock` is held until [`close`](Self::close), or until the last clone is dropped. What was sealed
    /// with a former key, or not at all, is sealed with the current one; a document that no key opens is an error.
    pub async fn open(path: &Path, keys: SealingKeys) -> Result<Self, MetadataError> {
        let lock = ProcessLock::acquire(path)?;
        let writer = open::writer(path).await?;
        let readers = open::readers(path).await?;
        let (in_use, lock) = (Mutex::new(keys.clone()), Mutex::new(Some(lock)));
        let metadata = Self { shared: Arc::new(Shared { writer, readers, session: session(), keys: in_use, lock }) };
        metadata.change_keys(keys).await?;
        Ok(metadata)
    }

    /// Waits for running statements, writes the log back into the database and gives up the lock. Later calls on any
    /// clone fail.
    pub async fn close(&self) {
        self.shared.readers.close().await;
        self.shared.writer.close().await;
        self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The keys in use. Whoever writes asks for them while holding the write lock.
    pub(crate) fn keys(&self) -> SealingKeys {
        self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_keys(&self, keys: SealingKeys) {
        *self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.shared.readers
    }

    /// For one writing statement. Several belong into a transaction from [`begin`](Self::begin).
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.shared.writer
    }

    /// Starts a transaction that holds the write lock from its first statement on. Dropping it undoes it.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, MetadataError> {
        self.begin_with(sql::BEGIN).await
    }

    /// The same, with a commit that survives a power loss (SQLite's `synchronous=FULL`): for what a client is told of as
    /// done. How the connection syncs is set by each transaction for itself; a single statement after this one syncs too,
    /// which is slower and no harm.
    pub(crate) async fn begin_durable(&self) -> Result<Transaction<'static, Sqlite>, MetadataError> {
        self.begin_with(sql::BEGIN_DURABLE).await
    }

    /// SQLite ends a transaction by itself when the disk is full; the connection then counts one too many from there on and
    /// takes no further one. It is replaced.
    async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Sqlite>, MetadataError> {
        let begun = self.shared.writer.begin_with(statement).await;
        if !matches!(begun, Err(sqlx::Error::InvalidSavePointStatement)) {
            return Ok(begun?);
        }
        let connection = self.shared.writer.acquire().await?;
        if connection.is_in_transaction() {
            connection.close().await?;
        } else {
            // Somebody else has replaced it meanwhile.
            drop(connection);
        }
        Ok(self.shared.writer.begin_with(statement).await?)
    }

    /// Tells this opening of the database from all others: sequence numbers are only compared within one.
    pub(crate) fn session(&self) -> i64 {
        self.shared.session
    }
}

/// Nanoseconds since 1970: two openings of one database are never within one, as each waits for the other's lock.
fn session() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_ends_by_itself_does_not_end_writing() {
        let directory = tempfile::tempdir().unwrap();
        let keys = SealingKeys::new(crate::SealingKey::from_bytes(&[7; 32]), vec![]);
        let metadata = Metadata::open(&directory.path().join("test.db"), keys).await.unwrap();
        for _ in 0..3 {
            let mut transaction = metadata.begin_durable().await.unwrap();
            // What SQLite does when the disk is full (sqlite.org/lang_transaction.html, "Response To Errors").
            transaction.execute("ROLLBACK").await.unwrap();
            drop(transaction);
            metadata.begin().await.unwrap().commit().await.unwrap();
        }
    }
}
