//! Downloads that are killed, and go on.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::stargz::{Flavour, StargzWriter, TarEntry};
use testkit::upstream::{Fault, Gate, Target};

use crate::support::*;

const CHUNK: u64 = 64 << 10;
const FILES: u64 = 6;
const FILE: usize = 1_500_000;
const WORKERS: u64 = 2;
const KILLS: u64 = 10;

fn served() -> Served {
    let mut entries: Vec<_> = (0..FILES).map(|at| TarEntry::file(&format!("big{at}"), noise(at, FILE))).collect();
    entries.extend((0..200).map(|at| TarEntry::file(&format!("small/{at}"), noise(100 + at, 500))));
    let layer = StargzWriter::new(Flavour::EStargz).chunk_size(CHUNK as usize).build(&entries);
    Served::new(vec![layer])
}

/// What the journal says is there: chunks and files.
fn journal(starget: &Starget) -> String {
    let folder = fs::read_dir(starget.state()).into_iter().flatten().flatten();
    let mut journals = folder.filter(|entry| entry.path().extension().is_some_and(|end| end == "journal"));
    journals.next().map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).unwrap_or_default()
}

fn progress(starget: &Starget) -> usize {
    journal(starget).lines().filter(|line| line.starts_with("c ") || line.starts_with("d ")).count()
}

/// Polls until nothing is written down any more: all that came has been worked on.
fn wait_until_quiet(starget: &Starget, gate: &Gate, workers: usize) {
    let patience = Instant::now() + Duration::from_mins(1);
    while gate.arrivals() < workers {
        assert!(Instant::now() < patience, "the workers never came to the gate");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut last = (progress(starget), 0);
    while last.1 < 20 {
        assert!(Instant::now() < patience);
        std::thread::sleep(Duration::from_millis(5));
        let now = progress(starget);
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
    }
}

#[test]
fn killed_ten_times_it_fetches_little_twice_and_is_right() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.clear_log();
    let workers = WORKERS.to_string();
    let image = served.image();
    let words = ["get", "--concurrency", &workers, &image, ".", "out"];
    let blob = Target::blob(&served.layer(0));
    let mut random = 0x9e37_79b9_u64;
    // Opened at the end: what is sent to a process that is gone would count as fetched.
    let mut gates = Vec::new();
    for _ in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let gate = Gate::new();
        served.upstream.clear_faults();
        served.upstream.fault(blob.clone(), Fault::StallAfter(100_000 + (random >> 33) % 300_000, gate.clone()));
        let mut child = starget.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until_quiet(&starget, &gate, WORKERS as usize);
        child.kill().unwrap();
        child.wait().unwrap();
        gates.push(gate);
        for at in 0..FILES {
            let whole = fs::read(starget.path(&format!("out/big{at}")));
            assert!(whole.is_err() || whole.unwrap() == noise(at, FILE), "under its name a file is complete");
        }
    }
    served.upstream.clear_faults();
    let ran = starget.run(&words).ok();
    assert!(ran.stderr().contains("from an earlier run and right"), "{}", ran.stderr());
    for at in 0..FILES {
        assert_eq!(fs::read(starget.path(&format!("out/big{at}"))).unwrap(), noise(at, FILE));
    }
    for at in 0..200 {
        assert_eq!(fs::read(starget.path(&format!("out/small/{at}"))).unwrap(), noise(100 + at, 500));
    }
    let once = served.layers[0].data_end;
    let (_, bytes) = served.layer_traffic();
    gates.iter().for_each(Gate::release);
    // A chunk of noise is a little longer compressed.
    let most = once + KILLS * WORKERS * (CHUNK + CHUNK / 100);
    assert!(bytes <= most, "{bytes} bytes for {once}, at most {most}");
    assert!(fs::read_dir(starget.state()).unwrap().next().is_none(), "nothing is left to be done");
    assert!(listing(&starget.path("out")).iter().all(|line| !line.contains(".partial")));
}

/// A download that was killed in the middle of `big0`.
fn killed(served: &Served, starget: &Starget) {
    let gate = Gate::new();
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::StallAfter(700_000, gate.clone()));
    let image = served.image();
    let words = ["get", "--concurrency", "1", &image, ".", "out"];
    let mut child = starget.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until_quiet(starget, &gate, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.release();
    served.upstream.clear_faults();
}

#[test]
fn a_flipped_byte_in_what_was_kept_is_found() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    killed(&served, &starget);
    assert!(!starget.path("out/big0").exists());
    let partial = fs::File::options().read(true).write(true).open(starget.path("out/big0.partial")).unwrap();
    let mut byte = [0];
    partial.read_exact_at(&mut byte, CHUNK + 7).unwrap();
    partial.write_all_at(&[byte[0] ^ 1], CHUNK + 7).unwrap();
    served.upstream.clear_log();
    let ran = starget.run(&["get", "--concurrency", "1", &served.image(), ".", "out"]).ok();
    assert!(ran.stderr().contains("big0.partial: the chunk at byte 65536 is damaged"), "{}", ran.stderr());
    assert_eq!(fs::read(starget.path("out/big0")).unwrap(), noise(0, FILE));
}

#[test]
fn a_file_that_changed_since_is_fetched_again() {
    let files = [TarEntry::file("big0", noise(0, 200_000)), TarEntry::file("big1", noise(1, 3_000_000))];
    let (served, starget) = (Served::new(vec![estargz(&files)]), Starget::new());
    let image = served.image();
    let gate = Gate::new();
    starget.run(&["ls", &image]).ok();
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::StallAfter(600_000, gate.clone()));
    let words = ["get", "--concurrency", "1", &image, ".", "out"];
    let mut child = starget.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until_quiet(&starget, &gate, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.release();
    served.upstream.clear_faults();
    assert!(starget.path("out/big0").exists());
    fs::write(starget.path("out/big0"), "changed").unwrap();
    let ran = starget.run(&words).ok();
    assert!(ran.stderr().contains("big0 is not as it was"), "{}", ran.stderr());
    assert_eq!(fs::read(starget.path("out/big0")).unwrap(), noise(0, 200_000));
}

#[test]
fn another_image_under_the_same_tag_is_another_download() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    killed(&served, &starget);
    let other = StargzWriter::new(Flavour::EStargz).build(&[TarEntry::file("big0", "new")]);
    served.upstream.add_image(REPOSITORY, "1", &image(&[other]));
    let ran = starget.run(&["get", &served.image(), ".", "out"]).ok();
    assert!(!ran.stderr().contains("earlier run"), "{}", ran.stderr());
    assert_eq!(fs::read_to_string(starget.path("out/big0")).unwrap(), "new");
    assert_eq!(fs::read_dir(starget.state()).unwrap().count(), 1, "the journal of the other download is still there");
}
