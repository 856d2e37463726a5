//! `transship client-config`: prints, or writes, the files that make a client pull through a server.
//!
//! Must not know any client's format. Invariant: nothing is written unless a folder was named, and no file that is there
//! is replaced.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::ClientConfigArgs;
use crate::client_config::{Setup, setup};
use crate::{fail, print, usage_error};

/// Runs the command.
pub(crate) fn run(args: ClientConfigArgs) -> ExitCode {
    let (client, output, json) = (args.client, args.output.clone(), args.json);
    let wanted = match args.wanted() {
        Ok(wanted) => wanted,
        Err(problem) => return fail(usage_error(), &problem),
    };
    let setup = setup(client, &wanted);
    match output {
        Some(folder) => match write(&setup, &folder) {
            Ok(told) => print(&told),
            Err(error) => fail(ExitCode::FAILURE, &format!("{error:#}")),
        },
        None if json => print(&format!("{:#}\n", document(&setup))),
        None => print(&setup.text()),
    }
}

fn document(setup: &Setup) -> serde_json::Value {
    let file = |file: &crate::client_config::SetupFile| serde_json::json!({ "path": file.path, "content": file.text });
    serde_json::json!({ "files": setup.files.iter().map(file).collect::<Vec<_>>(), "notes": setup.notes })
}

/// Writes each file at its place below `folder`.
fn write(setup: &Setup, folder: &Path) -> Result<String> {
    let mut told = String::new();
    for file in &setup.files {
        let path = folder.join(file.path.trim_start_matches('/'));
        let shown = path.display().to_string();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder of {shown}"))?;
        }
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("cannot make {shown}; what is there is not replaced"))?;
        new.write_all(file.text.as_bytes()).with_context(|| format!("cannot write {shown}"))?;
        told.extend(["wrote ", &shown, "\n"]);
    }
    for note in &setup.notes {
        told.extend([note, "\n"]);
    }
    Ok(told)
}
