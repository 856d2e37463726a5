//! How much memory a large image takes.

use std::io::Read;
use std::process::Stdio;

use testkit::stargz::TarEntry;

use crate::support::*;

const ENTRIES: u64 = 50_000;
const MOST_KIB: u64 = 64 * 1024;

/// The peak so far, in KiB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The peak of a run from its beginning to its end, in KiB: that of a shell which became the program.
fn peak_of_all(starget: &Starget, words: &[&str]) -> u64 {
    let plain = starget.command(words);
    let script = "import resource,subprocess,sys;code=subprocess.call(sys.argv[1:]);\
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);sys.exit(code)";
    let mut measured = std::process::Command::new("python3");
    measured.args(["-c", script]).arg(plain.get_program()).args(plain.get_args());
    measured.current_dir(starget.folder.path());
    measured.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran(measured.output().unwrap()).ok();
    ran.stdout().lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn getting_fifty_thousand_files_fits_into_64_mib() {
    let name = |at| format!("usr/share/some/directory/of/many/{:03}/file-with-a-usual-name-{at:05}.txt", at % 200);
    let mut entries: Vec<_> = (0..ENTRIES).map(|at| TarEntry::file(&name(at), at.to_le_bytes())).collect();
    // Large ones beside them, so that all workers are busy.
    entries.extend((0..12).map(|at| TarEntry::file(&format!("large/{at}"), noise(at, 3 << 20))));
    let (served, starget) = (Served::new(vec![estargz(&entries)]), Starget::new());
    for words in [["get", "--concurrency", "8"], ["get", "--concurrency", "1"], ["verify", "--concurrency", "8"]] {
        let image = served.image();
        let out: &[&str] = if words[0] == "get" { &[&image, ".", "out"] } else { &[&image] };
        let peak = peak_of_all(&starget, &[&words[..], out].concat());
        assert!(peak <= MOST_KIB, "{words:?}: {peak} KiB");
        println!("{words:?}: {peak} KiB");
    }
    assert_eq!(std::fs::read(starget.path("out/large/7")).unwrap(), noise(7, 3 << 20));
}

#[test]
fn a_table_of_fifty_thousand_entries_fits_into_64_mib() {
    let name = |at| format!("usr/share/some/directory/of/many/{:03}/file-with-a-usual-name-{at:05}.txt", at % 200);
    let entries: Vec<_> = (0..ENTRIES).map(|at| TarEntry::file(&name(at), at.to_le_bytes())).collect();
    let (served, starget) = (Served::new(vec![estargz(&entries)]), Starget::new());
    for (round, words) in
        [("cold", vec!["ls"]), ("from the cache", vec!["ls", "-l"]), ("as JSON", vec!["ls", "--json"])]
    {
        let image = served.image();
        let mut child = starget.command(&[words, vec![&image]].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        // It has read everything before it writes anything, and waits because the pipe is full.
        let mut first = [0; 4096];
        output.read_exact(&mut first).unwrap();
        let peak = peak(child.id());
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        assert!(child.wait().unwrap().success());
        let lines = first.iter().chain(&rest).filter(|byte| **byte == b'\n').count() as u64;
        assert!(lines > ENTRIES, "{round}: {lines}");
        assert!(peak <= MOST_KIB, "{round}: {peak} KiB");
        println!("{round}: {peak} KiB");
    }
}
