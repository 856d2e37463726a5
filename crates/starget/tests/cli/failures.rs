//! What a registry can do wrong, and what is said and left then.

use testkit::stargz::{Flavour, StargzWriter, TarEntry};
use testkit::upstream::{Cut, FakeUpstream, Fault, Kind, Target};

use crate::support::*;

fn served() -> Served {
    Served::new(vec![estargz(&[
        TarEntry::file("first", noise(1, 50_000)),
        TarEntry::file("big", noise(2, 400_000)),
        TarEntry::file("last", "last\n"),
    ])])
}

fn offset_of(served: &Served, name: &str, nth: usize) -> u64 {
    let entries = served.layers[0].toc["entries"].as_array().unwrap();
    entries.iter().filter(|entry| entry["name"] == name).nth(nth).unwrap()["offset"].as_u64().unwrap()
}

#[test]
fn a_flipped_byte_is_named_and_its_file_is_not_there() {
    let (served, starget) = (served(), Starget::new());
    let at = offset_of(&served, "big", 2) + 1000;
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::FlipByte(at));
    let layer = served.layer(0).to_string();
    let ran = starget.run(&["get", "--json", &served.image(), "big", "out"]).fails(5, &["big", &layer]);
    let error = ran.error();
    assert_eq!((&error["code"], &error["exit"]), (&"verification".into(), &5.into()));
    let details = &error["details"];
    assert_eq!((&details["path"], &details["layer"]), (&"big".into(), &layer.into()));
    assert_eq!(details["offset"], (2 * 65_536).to_string());
    assert!(details["expected"] != details["found"] && details["found"].as_str().unwrap().starts_with("sha256:"));
    assert!(!starget.path("out").exists());

    let ran = starget.run(&["get", &served.image(), ".", "all"]).fails(5, &["failed: big", "1 of 3 files failed"]);
    assert_eq!(ran.stdout(), "Successfully downloaded 2/3 files (50005 bytes total)\n");
    assert!(!starget.path("all/big").exists() && starget.path("all/last").is_file(), "the others are there");
    starget.run(&["cat", &served.image(), "big"]).fails(5, &["big"]);
    starget.run(&["verify", &served.image()]).fails(5, &["big"]);

    served.upstream.clear_faults();
    starget.run(&["verify", &served.image()]).ok();
    starget.run(&["get", &served.image(), ".", "all"]).ok();
    assert_eq!(std::fs::read(starget.path("all/big")).unwrap(), noise(2, 400_000));
}

#[test]
fn a_flipped_byte_in_a_small_file_leaves_nothing() {
    let (served, starget) = (served(), Starget::new());
    // The first bytes after the header of the member.
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::FlipByte(offset_of(&served, "last", 0) + 12));
    let ran = starget.run(&["get", &served.image(), "last", "out"]);
    assert!(matches!(ran.code(), 1 | 5), "{}", ran.stderr());
    assert!(ran.stderr().contains("last"), "{}", ran.stderr());
    assert!(!starget.path("out").exists() && !starget.path("out.partial").exists());
}

#[test]
fn a_table_that_is_not_the_manifests_is_refused() {
    let mut layer = estargz(&[TarEntry::file("a", "a")]);
    let other = oci::Digest::sha256_of(b"other").to_string();
    layer.annotations.insert("containerd.io/snapshot/stargz/toc.digest".into(), other.clone());
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    starget.run(&["ls", &served.image()]).fails(5, &[&other, "table of contents"]);
    let ran = starget.run(&["ls", "--skip-verify", &served.image()]).ok();
    assert_eq!(ran.stdout(), "a\n");
}

#[test]
fn content_that_nothing_proves_is_said_to_be_so() {
    let layer = StargzWriter::new(Flavour::EStargz).without_annotations().build(&[TarEntry::file("a", "a")]);
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    starget.run(&["get", &served.image(), "a", "out"]).ok();
    let ran = starget.run(&["get", &served.image(), "a", "out"]).ok();
    assert!(ran.stderr().contains("not proven"), "{}", ran.stderr());
    starget.run(&["verify", &served.image()]).fails(5, &["states no digest"]);
}

#[test]
fn broken_connections_are_taken_up_where_they_broke() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.clear_log();
    served.upstream.fault(Target::blob(&served.layer(0)).first(2), Fault::CutAfter(150_000, Cut::Reset));
    starget.run(&["get", &served.image(), "big", "out"]).ok();
    assert_eq!(std::fs::read(starget.path("out")).unwrap(), noise(2, 400_000));
    assert_eq!(served.layer_traffic().0, 3);
    let start = |range: &str| range["bytes=".len()..].split('-').next().unwrap().parse::<u64>().unwrap();
    let starts: Vec<_> = served.requests(Kind::Blob).iter().map(|seen| start(seen.header("range").unwrap())).collect();
    assert!(starts[0] < starts[1] && starts[1] < starts[2], "each goes on where the last one ended: {starts:?}");

    served.upstream.fault(Target::blob(&served.layer(0)), Fault::CutAfter(10, Cut::Reset));
    starget.run(&["get", "--max-retries", "1", &served.image(), "first", "out2"]).fails(8, &["broke"]);
    assert!(!starget.path("out2").exists());
}

#[test]
fn a_registry_that_wants_time_gets_it() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.clear_log();
    served.upstream.fault(Target::blob(&served.layer(0)).first(1), Fault::too_many_requests(Some("2")));
    let ran = starget.run(&["cat", "-v", &served.image(), "last"]).ok();
    assert_eq!(ran.stdout(), "last\n");
    let requests = served.requests(Kind::Blob);
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at - requests[0].at >= std::time::Duration::from_secs(2), "not before it said");

    served.upstream.fault(Target::blob(&served.layer(0)), Fault::too_many_requests(Some("7200")));
    starget.run(&["cat", &served.image(), "first"]).fails(8, &["limits our request rate"]);
}

#[test]
fn registries_that_do_not_know_ranges_are_told_apart() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    let blob = Target::blob(&served.layer(0));
    served.upstream.fault(blob.clone(), Fault::IgnoreRange);
    assert_eq!(
        starget.run(&["cat", &served.image(), "last"]).ok().stdout(),
        "last\n",
        "a small layer is skipped through"
    );
    for (fault, words) in [
        // Whole answers that carry it, as some peer-to-peer caches gave.
        (Fault::ContentRangeOn200, "Content-Range with status 200"),
        (Fault::ShiftRangeStart(5), "was asked for"),
        (Fault::LieAboutRangeTotal(9_999_999), "9999999 bytes where the manifest says"),
        (Fault::ContentEncodingGzip, "Content-Encoding"),
        (Fault::html_page(), "HTML"),
    ] {
        served.upstream.clear_faults();
        if matches!(fault, Fault::ContentRangeOn200) {
            served.upstream.fault(blob.clone(), Fault::IgnoreRange);
        }
        served.upstream.fault(blob.clone(), fault);
        starget.run(&["cat", "--max-retries", "0", &served.image(), "last"]).fails(8, &[words]);
    }
    served.upstream.clear_faults();
    served.upstream.fault(blob.first(3), Fault::ShiftRangeEnd(-2));
    assert_eq!(starget.run(&["cat", &served.image(), "last"]).ok().stdout(), "last\n", "the rest is asked for");
}

#[test]
fn odd_answers_are_read_when_they_can_be_and_refused_with_the_reason_when_not() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    let blob = Target::blob(&served.layer(0));
    let cat = || starget.run(&["cat", "--max-retries", "0", &served.image(), "last"]);
    for fault in [Fault::NoLength, Fault::CloseDelimited, Fault::RemoveHeader("Content-Type".into())] {
        served.upstream.clear_faults();
        served.upstream.fault(blob.clone(), fault.clone());
        assert_eq!(cat().ok().stdout(), "last\n", "{fault:?}");
    }
    for (fault, words) in [
        (Fault::status(416), "416"),
        (Fault::status(404), "no such content"),
        (Fault::ShiftRangeEnd(3), "was asked for"),
        (Fault::RemoveHeader("Content-Range".into()), "without a Content-Range"),
        (Fault::OverstateLength(10), "Content-Length"),
        (Fault::CutAfter(3, Cut::Finish), "broke after"),
    ] {
        served.upstream.clear_faults();
        served.upstream.fault(blob.clone(), fault.clone());
        let ran = cat();
        assert!(ran.code() != 0 && ran.stderr().contains(words), "{fault:?}: {}", ran.stderr());
        assert!(ran.stdout().is_empty(), "{fault:?}");
    }
}

#[test]
fn when_to_come_back_may_be_a_date_and_the_status_503() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    // A date in the past is now; a status of 503 is as temporary as 429.
    for (status, wish) in [(429, "Sun, 06 Nov 1994 08:49:37 GMT"), (503, "0"), (503, "Sun, 06 Nov 1994 08:49:37 GMT")] {
        served.upstream.clear_faults();
        served.upstream.clear_log();
        let header = vec![("Retry-After".to_owned(), wish.to_owned())];
        let busy = Fault::Reply(status, header, Vec::new().into());
        served.upstream.fault(Target::blob(&served.layer(0)).first(1), busy);
        assert_eq!(starget.run(&["cat", &served.image(), "last"]).ok().stdout(), "last\n", "{status} {wish}");
        assert_eq!(served.layer_traffic().0, 2, "{status} {wish}");
    }
}

#[test]
fn a_refusal_with_a_length_that_lies_is_not_read() {
    // As docker-registry 2.8 answers: the length of the blob, and the body of an error.
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::status(416));
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::OverstateLength(9_999_999));
    starget.run(&["cat", "--max-retries", "0", &served.image(), "last"]).fails(8, &["416"]);
}

#[test]
fn a_download_of_which_nothing_came_leaves_nothing() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::status(404));
    for words in [["big", "out"], [".", "out"], ["last", "out/"]] {
        let image = served.image();
        let ran = starget.run(&[&["get", "--max-retries", "0", &image], &words[..]].concat());
        assert!(ran.code() != 0, "{}", ran.stderr());
        assert!(!starget.path("out").exists(), "{words:?}");
        assert_eq!(std::fs::read_dir(starget.state()).unwrap().count(), 0, "{words:?}");
    }
    assert_eq!(starget.run(&["state", "ls"]).ok().stdout(), "");
    // What was there before stays.
    std::fs::create_dir(starget.path("out")).unwrap();
    starget.run(&["get", "--max-retries", "0", &served.image(), ".", "out"]).fails(3, &[]);
    assert!(starget.path("out").is_dir());
    served.upstream.clear_faults();
    starget.run(&["get", &served.image(), ".", "out"]).ok();
}

#[test]
fn whole_layers_instead_of_parts_are_not_drained() {
    let layer = StargzWriter::new(Flavour::EStargz)
        .build(&[TarEntry::file("large", noise(1, 6 << 20)), TarEntry::file("last", "last\n")]);
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::IgnoreRange);
    let layer = served.layer(0).to_string();
    starget.run(&["cat", &served.image(), "last"]).fails(8, &["whole layer", &layer]);
}

#[test]
fn what_is_not_there_and_who_may_not_are_told_apart() {
    let (served, starget) = (served(), Starget::new());
    let missing = format!("{}/nope:1", served.upstream.host());
    let ran = starget.run(&["ls", "--json", &missing]).fails(3, &[]);
    assert_eq!(ran.error()["code"], "not_found");
    served.upstream.fault(Target::kind(Kind::Manifest), Fault::status(403));
    starget.run(&["ls", &served.image()]).fails(4, &["denied"]);
    served.upstream.clear_faults();
    served.upstream.fault(Target::kind(Kind::Manifest), Fault::status(500));
    starget.run(&["ls", "--max-retries", "1", &served.image()]).fails(8, &["500"]);
    assert_eq!(served.requests(Kind::Manifest).iter().filter(|seen| seen.status == Some(500)).count(), 2);
    let closed = format!("127.0.0.1:{}/a", testkit::port::free_port());
    starget.run(&["ls", "--max-retries", "0", &closed]).fails(8, &["cannot connect"]);
}

#[test]
fn a_retry_is_one_request_for_layers_too() {
    let (served, starget) = (served(), Starget::new());
    served.upstream.fault(Target::kind(Kind::Blob), Fault::status(500));
    starget.run(&["ls", "--max-retries", "2", &served.image()]).fails(8, &["500"]);
    assert_eq!(served.layer_traffic().0, 3);
}

#[test]
fn another_platform_is_chosen_or_said_not_to_be_there() {
    use testkit::image::{Dialect, Platform, index};
    let layer = |text: &str| vec![estargz(&[TarEntry::file("arch", text)])];
    for dialect in [Dialect::Oci, Dialect::Docker] {
        let upstream = FakeUpstream::start();
        let images = vec![
            (Platform::new("linux", "amd64"), image(&layer("amd64"))),
            (Platform::new("linux", "arm64"), image(&layer("arm64"))),
        ];
        upstream.add_image(REPOSITORY, "1", &index(dialect, images));
        let (name, starget) = (format!("{}/{REPOSITORY}:1", upstream.host()), Starget::new());
        let cat = |platform| starget.run(&["cat", "--platform", platform, &name, "arch"]);
        assert_eq!(cat("linux/arm64").ok().stdout(), "arm64");
        assert_eq!(cat("linux/amd64").ok().stdout(), "amd64");
        cat("linux/s390x").fails(3, &["linux/s390x", "linux/amd64, linux/arm64"]);
    }
}
