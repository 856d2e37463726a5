//! Which boot of the machine this is.
//!
//! A process that is killed loses nothing that it wrote: the page cache stays. A machine that stops does, without a
//! trace in the file. Two equal boot ids prove that the page cache of the writer is still the one we read from.

use std::fs;

use serde::{Deserialize, Serialize};

const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's random id of the current boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BootId(String);

impl BootId {
    /// The current boot, or `None` where the system does not tell: then nothing written earlier is ever trusted.
    pub(crate) fn current() -> Option<Self> {
        match fs::read_to_string(BOOT_ID_FILE) {
            Ok(id) if !id.trim().is_empty() => Some(Self(id.trim().to_owned())),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(file = BOOT_ID_FILE, %error, "no boot id: interrupted downloads start over");
                None
            }
        }
    }
}
