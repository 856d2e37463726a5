//! How column values become our values again.
//!
//! Must not know which statement a row is of. Invariant: a value that does not parse is `CorruptRow` with its place,
//! never a panic and never a value that looks right.

use std::error::Error;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type};

use crate::error::MetadataError;

/// One row of a named table.
pub(crate) struct Columns<'r> {
    pub(crate) table: &'static str,
    pub(crate) row: &'r SqliteRow,
}

impl Columns<'_> {
    pub(crate) fn text(&self, column: &'static str) -> Result<String, MetadataError> {
        self.get(column)
    }

    pub(crate) fn text_unless_null(&self, column: &'static str) -> Result<Option<String>, MetadataError> {
        self.get(column)
    }

    pub(crate) fn parsed<T>(&self, column: &'static str) -> Result<T, MetadataError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text: &str = self.get(column)?;
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn parsed_unless_null<T>(&self, column: &'static str) -> Result<Option<T>, MetadataError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text: Option<&str> = self.get(column)?;
        text.map(str::parse).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn count(&self, column: &'static str) -> Result<u64, MetadataError> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn count_unless_null(&self, column: &'static str) -> Result<Option<u64>, MetadataError> {
        let number: Option<i64> = self.get(column)?;
        number.map(u64::try_from).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn time_unless_null(&self, column: &'static str) -> Result<Option<SystemTime>, MetadataError> {
        let millis: Option<i64> = self.get(column)?;
        millis.map(|_| self.time(column)).transpose()
    }

    pub(crate) fn number_unless_null(&self, column: &'static str) -> Result<Option<i64>, MetadataError> {
        self.get(column)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<SystemTime, MetadataError> {
        let millis: i64 = self.get(column)?;
        let distance = Duration::from_millis(millis.unsigned_abs());
        let time = if millis < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.ok_or_else(|| self.corrupt(column, "it is beyond the times of this system"))
    }

    fn get<'s, T>(&'s self, column: &'static str) -> Result<T, MetadataError>
    where
        T: Decode<'s, Sqlite> + Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn corrupt(
        &self,
        column: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> MetadataError {
        MetadataError::CorruptRow { table: self.table, column, source: source.into() }
    }
}
