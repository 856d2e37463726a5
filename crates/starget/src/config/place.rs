//! Where the configuration file is.
//!
//! The folder of the original tool, `~/.stargz-get`, wins when it is there; else it is `$XDG_CONFIG_HOME/starget` (usually
//! `~/.config/starget`). The state folder follows the same rule. Must not know what is in the file. Invariant: reading
//! and writing use the same place.

use std::path::{Path, PathBuf};

/// The folder of the original tool, below the home directory.
const ORIGINAL: &str = ".stargz-get";

/// Why the file is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Named by `--config` or `STARGET_CONFIG`.
    Named,
    /// `~/.stargz-get` is there.
    Original,
    /// Neither.
    Xdg,
}

/// The place of the file, which need not be there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    file: PathBuf,
    pub(crate) why: Why,
}

impl Place {
    /// Finds it; `None` when there is no home directory and no file was named.
    pub(crate) fn find(named: Option<&Path>) -> Option<Self> {
        if let Some(file) = named {
            return Some(Self { file: file.to_owned(), why: Why::Named });
        }
        let dirs = directories::BaseDirs::new()?;
        Some(Self::among(dirs.home_dir(), dirs.config_dir()))
    }

    fn among(home: &Path, config: &Path) -> Self {
        let original = home.join(ORIGINAL);
        if original.is_dir() {
            return Self { file: original.join("config.yaml"), why: Why::Original };
        }
        Self { file: config.join("starget/config.yaml"), why: Why::Xdg }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The file that has the key for its secrets.
    pub(crate) fn key_file(&self) -> PathBuf {
        key_file(&self.file)
    }
}

/// The key's file beside a configuration file.
pub(super) fn key_file(config: &Path) -> PathBuf {
    config.with_file_name("secrets.key")
}

/// A path in the configuration file: `~/` is the home directory, and what is relative is so to the file's folder, wherever the
/// program is started.
pub(super) fn absolute(text: &str, config: &Path) -> String {
    let home = text.strip_prefix("~/").and_then(|rest| Some(directories::BaseDirs::new()?.home_dir().join(rest)));
    let folder = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let path = home.unwrap_or_else(|| folder.with_file_name("").join(text));
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_files_folder() {
        let config = Path::new("/etc/starget/config.yaml");
        assert_eq!(absolute("ca.pem", config), "/etc/starget/ca.pem");
        assert_eq!(absolute("/ca.pem", config), "/ca.pem");
        assert!(absolute("~/ca.pem", config).ends_with("/ca.pem") && !absolute("~/ca.pem", config).contains('~'));
        assert!(Path::new(&absolute("ca.pem", Path::new("config.yaml"))).is_absolute());
    }

    #[test]
    fn the_original_folder_wins_when_it_is_there() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join(".config");
        let place = Place::among(home.path(), &config);
        assert_eq!((place.file(), place.why), (config.join("starget/config.yaml").as_path(), Why::Xdg));
        std::fs::create_dir(home.path().join(ORIGINAL)).unwrap();
        let place = Place::among(home.path(), &config);
        assert_eq!((place.file(), place.why), (home.path().join(".stargz-get/config.yaml").as_path(), Why::Original));
        assert_eq!(place.key_file(), home.path().join(".stargz-get/secrets.key"));
        assert_eq!(Place::find(Some(Path::new("here.yaml"))).unwrap().why, Why::Named);
    }
}
