//! A program small enough to be an image of its own: static, prints its words.
//!
//! Must not know: images. Invariant: compiled once a process, with the machine's C compiler.

use std::fs;
use std::sync::OnceLock;

use crate::image::{Dialect, Image, ImageBuilder};
use crate::program::{self, Finished};

const SOURCE: &str = r#"#include <stdio.h>
int main(int count, char **words) {
    for (int i = 1; i < count; i++) printf(i > 1 ? " %s" : "%s", words[i]);
    putchar('\n');
    return 0;
}
"#;

/// The bytes of an ELF program for this machine.
pub fn bytes() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (source, target) = (folder.path().join("echo.c"), folder.path().join("echo"));
        fs::write(&source, SOURCE).expect("a file can be written");
        let mut compiler = program::command("cc", folder.path());
        Finished::of(compiler.args(["-static", "-Os", "-s", "-o"]).arg(&target).arg(&source)).expect_success();
        fs::read(&target).expect("the compiler wrote it")
    })
}

/// An image whose only program is `/bin/echo`; without words it says `hello`.
pub fn image(dialect: Dialect) -> Image {
    let builder = ImageBuilder::new().dialect(dialect).program("bin/echo", bytes()).end_layer();
    builder.file("etc/motd", b"hello\n").end_layer().command(&["/bin/echo", "hello"]).build()
}
