//! What can go wrong with the metadata: one variant per thing a caller or an operator can do about it.
//!
//! Must not know what a failed lookup means for a pull. Invariant: no message holds a bound value, so no stored
//! credential can reach a log through an error.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use oci::RepoKey;

/// Why the metadata could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// A repository with this key is stored already. Nothing was changed.
    #[error("a repository with the key \"{key}\" exists already")]
    AlreadyExists {
        /// The key.
        key: RepoKey,
    },
    /// Another process has the database open. Two would evict each other's blobs.
    #[error("{} is in use by another process: give each its own cache directory", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file system refused the database or its lock file.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// What stands at the path is not a database.
    #[error("{} is not a metadata database: {reason}", path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// The database file is damaged. A backup can be put in its place. Moved away without one, what is cached is found
    /// again and repositories made through the API must be made again, but nothing knows the names of what was pushed:
    /// its bytes stay where they are until the database that knows them is back, or they are given up (docs/hosted.md).
    #[error("{} is damaged: {detail}; put a backup of it in its place", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first finding of SQLite's check.
        detail: String,
    },
    /// A newer version of Transship made this database.
    #[error("{} has schema {found}; this version knows schemas up to {supported}: use a newer version", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this build knows.
        supported: i64,
    },
    /// The schema could not be brought up to date. What was there is unchanged.
    #[error("cannot bring the schema of {} up to date", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: sqlx::migrate::MigrateError,
    },
    /// The database could not be opened for another reason.
    #[error("cannot open {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: sqlx::Error,
    },
    /// A repository's document is sealed with a key that was not given. Nothing was changed.
    #[error(
        "repository \"{repository}\" is sealed with the key {key_id}, which is not among the given keys: restore the key"
    )]
    UnknownSealingKey {
        /// The repository.
        repository: RepoKey,
        /// The name of the key.
        key_id: String,
    },
    /// A stored value is not what its column holds: the database was changed by something else.
    #[error("{table}.{column} holds a value that cannot be read")]
    CorruptRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A number is too large to be stored. Nothing was written.
    #[error("{what} {value} is too large to be stored")]
    TooLarge {
        /// What the number counts.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// Too many wait for the database, or something outside this process holds its lock. Trying again may help.
    #[error("the metadata database is busy")]
    Busy {
        /// The cause.
        source: sqlx::Error,
    },
    /// The disk is full. Nothing was written; reads go on.
    #[error("the metadata database cannot grow: no space left")]
    NoSpace {
        /// The cause.
        source: sqlx::Error,
    },
    /// A statement failed for another reason.
    #[error("the metadata database failed")]
    Database {
        /// The cause.
        source: sqlx::Error,
    },
}

/// SQLite's primary result codes that we tell apart (sqlite.org/rescode.html).
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const NOTADB: u32 = 26;

impl From<sqlx::Error> for MetadataError {
    fn from(source: sqlx::Error) -> Self {
        match primary_code(&source) {
            Some(BUSY | LOCKED) => Self::Busy { source },
            Some(FULL) => Self::NoSpace { source },
            _ if matches!(source, sqlx::Error::PoolTimedOut) => Self::Busy { source },
            _ => Self::Database { source },
        }
    }
}

impl MetadataError {
    /// Sorts a failure to open the database at `path`.
    pub(crate) fn opening(path: PathBuf, source: sqlx::Error) -> Self {
        match primary_code(&source) {
            Some(NOTADB) => Self::NotADatabase { path, reason: "its content is not that of a SQLite file" },
            Some(CORRUPT) => Self::Damaged { path, detail: source.to_string() },
            Some(BUSY | LOCKED | FULL) => Self::from(source),
            Some(_) | None => Self::Open { path, source },
        }
    }
}

/// The low byte of SQLite's extended result code.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: Cow<'_, str> = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}
