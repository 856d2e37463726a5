//! A database of its own for each test, and short ways to write values.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metadata::{Metadata, SealingKey, SealingKeys};
use oci::Digest;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr};
use tempfile::TempDir;

pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("transship.db")
    }

    pub(crate) async fn open(&self) -> Metadata {
        Metadata::open(&self.path(), keys()).await.unwrap()
    }

    /// Runs statements past our own code, as another program could.
    pub(crate) async fn tamper(&self, statement: impl SqlSafeStr) {
        let mut outsider = SqliteConnectOptions::new().filename(self.path()).connect().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut outsider).await.unwrap();
        outsider.close().await.unwrap();
    }

    /// Names in the directory, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The same key each time: reopening must find what was sealed.
pub(crate) fn keys() -> SealingKeys {
    SealingKeys::new(SealingKey::from_bytes(&[7; 32]), vec![])
}

pub(crate) fn parse<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn digest(of: &str) -> Digest {
    Digest::sha256_of(of.as_bytes())
}

/// A time of whole milliseconds.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}
