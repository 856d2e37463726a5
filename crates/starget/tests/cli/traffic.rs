//! How few requests and bytes it takes, counted at the registry.

use testkit::stargz::{Built, TarEntry};
use testkit::upstream::{FakeUpstream, Fault, Kind, Location, Target};

use crate::support::*;

/// A directory of many files that lies together, with others before and after it.
fn many_files(count: usize) -> Vec<TarEntry> {
    let mut entries = vec![TarEntry::file("before", noise(9, 100_000)), TarEntry::directory("many/")];
    entries.extend((0..count).map(|at| TarEntry::file(&format!("many/{at:05}"), noise(at as u64, 200 + at % 300))));
    entries.push(TarEntry::file("other/after", noise(10, 100_000)));
    entries
}

/// The bytes of the members of a file, from the table.
fn member(layer: &Built, name: &str) -> u64 {
    let entries = layer.toc["entries"].as_array().unwrap();
    let offsets = entries.iter().filter_map(|entry| entry["offset"].as_u64());
    let at = entries.iter().find(|entry| entry["name"] == name).unwrap()["offset"].as_u64().unwrap();
    offsets.filter(|offset| *offset > at).min().unwrap_or(layer.data_end) - at
}

#[test]
fn ls_takes_one_exchange_a_level_and_two_requests_a_layer() {
    let layers = vec![estargz(&many_files(300)), estargz(&[TarEntry::file("x", "x")])];
    let bound: u64 = layers.iter().map(|layer| layer.blob.len() as u64 - layer.data_end).sum();
    let (served, starget) = (Served::new(layers), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    assert_eq!(served.requests(Kind::Manifest).len(), 1, "no index: one level");
    assert_eq!(served.layer_traffic(), (4, bound), "two requests a layer, and not one byte too many");
    assert!(served.upstream.requests().iter().all(|request| request.method == "GET"), "no HEAD is needed");

    served.upstream.clear_log();
    starget.run(&["ls", &served.image()]).ok();
    assert_eq!(served.layer_traffic(), (0, 0), "the tables are in the cache");
    assert_eq!(served.requests(Kind::Manifest).len(), 1, "a tag may have moved");
    let pinned = format!("{}/{REPOSITORY}@{}", served.upstream.host(), image(&served.layers).digest());
    served.upstream.clear_log();
    starget.run(&["ls", &pinned]).ok();
    assert!(served.upstream.requests().is_empty(), "a digest cannot move");
}

/// Three layers: `top` is in the highest, `low` in the lowest, and the highest removes `gone`.
fn three_layers() -> Vec<Built> {
    vec![
        estargz(&[TarEntry::file("low", "low"), TarEntry::file("gone", "x"), TarEntry::file("both", noise(1, 40_000))]),
        estargz(&many_files(300)),
        estargz(&[
            TarEntry::file("top", "top"),
            TarEntry::file(".wh.gone", ""),
            TarEntry::file("both", noise(2, 40_000)),
            TarEntry::symlink("link", "many/00003"),
            TarEntry::hardlink("again", "low"),
        ]),
    ]
}

#[test]
fn one_file_of_an_image_opens_the_layers_that_decide_it_and_no_other() {
    let served = Served::new(three_layers());
    let table = |layer: usize| served.layers[layer].blob.len() as u64 - served.layers[layer].data_end;
    for (path, lowest, content) in [
        ("top", 2, Some((2, "top"))),
        ("both", 2, Some((2, "both"))),
        ("link", 1, Some((1, "many/00003"))),
        ("low", 0, Some((0, "low"))),
        ("again", 0, Some((0, "low"))),
        ("gone", 2, None),
        ("top/x", 2, None),
        ("nowhere", 0, None),
    ] {
        for command in [&["cat"][..], &["get", "-o", "out"]] {
            let starget = Starget::new();
            served.upstream.clear_log();
            let image = served.image();
            let ran = starget.run(&[command, &[&image, path]].concat());
            let tables: u64 = (lowest..3).map(table).sum();
            let wanted = content.map_or(0, |(layer, name)| member(&served.layers[layer], name));
            let requests = 2 * (3 - lowest) + usize::from(content.is_some());
            assert_eq!(served.layer_traffic(), (requests, tables + wanted), "{path}: {}", ran.stderr());
            assert_eq!(ran.code(), if content.is_some() { 0 } else { 3 }, "{path}: {}", ran.stderr());
            assert_eq!(served.requests(Kind::Manifest).len(), 1);
            // What is in the cache then is what it takes the next time.
            served.upstream.clear_log();
            starget.run(&[command, &[&image, path]].concat());
            assert_eq!(served.layer_traffic(), (usize::from(content.is_some()), wanted), "{path} again");
        }
    }
}

#[test]
fn directories_and_patterns_open_all_layers_side_by_side() {
    let served = Served::new(three_layers());
    for (pattern, code) in [("many", 0), ("many/", 0), ("*o*", 0), (".", 0), ("[nothing]", 3)] {
        let starget = Starget::new();
        served.upstream.clear_log();
        let ran = starget.run(&["get", &served.image(), pattern, "out"]);
        assert_eq!(ran.code(), code, "{pattern}: {}", ran.stderr());
        let opened: std::collections::BTreeSet<_> =
            served.requests(Kind::Blob).iter().map(|seen| seen.path.clone()).collect();
        assert_eq!(opened.len(), 3, "{pattern}");
    }
}

#[test]
fn a_layer_that_cannot_be_read_in_parts_matters_only_where_it_decides() {
    let plain = Built { annotations: std::collections::BTreeMap::new(), ..plain_layer() };
    let served = Served::new(vec![plain, estargz(&[TarEntry::file("top", "top")])]);
    let starget = Starget::new();
    assert_eq!(starget.run(&["cat", &served.image(), "top"]).ok().stdout(), "top");
    let layer = served.layer(0).to_string();
    starget.run(&["cat", &served.image(), "low"]).fails(7, &[&layer]);
    starget.run(&["get", &served.image(), ".", "out"]).fails(7, &[&layer]);
}

/// A gzipped tar without a table.
fn plain_layer() -> Built {
    let built = estargz(&[TarEntry::file("low", "low")]);
    Built { blob: built.blob[..built.data_end as usize].to_vec(), ..built }
}

#[test]
fn every_request_is_one_explicit_range_as_it_is() {
    let (served, starget) = (Served::new(vec![estargz(&many_files(300))]), Starget::new());
    starget.run(&["get", &served.image(), "many/*[05]", "out"]).ok();
    let requests = served.requests(Kind::Blob);
    assert!(requests.len() > 2);
    for request in requests {
        let range = request.header("range").unwrap().strip_prefix("bytes=").unwrap().to_owned();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        assert!(first <= last && last < served.layers[0].blob.len() as u64, "{range}");
        assert_eq!(request.header("accept-encoding").unwrap_or("identity"), "identity");
        assert!(request.header("if-range").is_none() && request.method == "GET");
    }
}

#[test]
fn a_larger_tail_saves_a_request_and_costs_bytes() {
    let (served, starget) = (Served::new(vec![estargz(&many_files(300))]), Starget::new());
    starget.run(&["ls", "--tail", "65536", &served.image()]).ok();
    assert_eq!(served.layer_traffic(), (1, 65_536));
}

#[test]
fn one_file_is_one_request_of_its_member() {
    let (served, starget) = (Served::new(vec![estargz(&many_files(300))]), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    for (command, name) in [("cat", "many/00017"), ("get", "many/00018")] {
        served.upstream.clear_log();
        starget.run(&[command, &served.image(), name]).ok();
        assert_eq!(served.layer_traffic(), (1, member(&served.layers[0], name)), "{command}");
    }
    served.upstream.clear_log();
    assert_eq!(starget.run(&["cat", &served.image(), "before"]).ok().0.stdout, noise(9, 100_000));
    let chunks = served.layers[0].toc["entries"].as_array().unwrap().iter().filter(|entry| entry["name"] == "before");
    assert!(chunks.count() > 1, "a file of several chunks");
    assert_eq!(served.layer_traffic().0, 1, "whose members lie side by side");
}

#[test]
fn a_directory_that_lies_together_is_few_requests() {
    let (served, starget) = (Served::new(vec![estargz(&many_files(4000))]), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.clear_log();
    // Files are closed when they are complete: there are far more than a process may have open.
    let plain = starget.command(&["get", &served.image(), "many/", "out"]);
    let mut limited = std::process::Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    limited.current_dir(starget.folder.path()).envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran(limited.output().unwrap()).ok();
    let bound: u64 = {
        let entries = served.layers[0].toc["entries"].as_array().unwrap();
        let offset =
            |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap()["offset"].as_u64().unwrap();
        offset("other/after") - offset("many/00000")
    };
    let (requests, bytes) = served.layer_traffic();
    assert!(requests <= 20, "{requests}");
    assert_eq!(bytes, bound);
    assert_eq!(std::fs::read_dir(starget.path("out/many")).unwrap().count(), 4000);
}

#[test]
fn scattered_files_cost_little_more_than_their_bytes() {
    let entries: Vec<_> = (0..400).map(|at| TarEntry::file(&format!("f{at:03}"), noise(at, 3000))).collect();
    let (served, starget) = (Served::new(vec![estargz(&entries)]), Starget::new());
    starget.run(&["ls", &served.image()]).ok();
    served.upstream.clear_log();
    starget.run(&["get", &served.image(), "f*[05]", "out"]).ok();
    let wanted: u64 = (0..400).filter(|at| at % 5 == 0).map(|at| member(&served.layers[0], &format!("f{at:03}"))).sum();
    let (_, bytes) = served.layer_traffic();
    assert!(bytes >= wanted && bytes * 100 <= wanted * 105, "{bytes} for {wanted}");
}

#[test]
fn the_redirect_of_the_table_serves_for_content_too() {
    let served = Served::new(vec![estargz(&many_files(300))]);
    let cdn = FakeUpstream::start_beside(&served.upstream);
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::Redirect(307, Location::Cdn(cdn.url())));
    let starget = Starget::new();
    starget.run(&["get", &served.image(), "many/", "out"]).ok();
    assert_eq!(served.layer_traffic().0, 1, "one redirect");
    assert_eq!(cdn.requests().len(), 3, "footer, table, content");
    assert!(cdn.credentials_seen().is_empty());
}

#[test]
fn an_address_that_ended_is_asked_for_again() {
    let entries: Vec<_> = (0..30).map(|at| TarEntry::file(&format!("f{at:03}"), noise(at, 90_000))).collect();
    let served = Served::new(vec![estargz(&entries)]);
    let cdn = FakeUpstream::start_beside(&served.upstream);
    served.upstream.fault(Target::blob(&served.layer(0)), Fault::Redirect(307, Location::Cdn(cdn.url())));
    cdn.fault(Target::any(), Fault::ExpireAfter(2));
    let starget = Starget::new();
    // Each third file: they do not lie together.
    starget.run(&["get", "--concurrency", "1", &served.image(), "f*[0369]", "out"]).ok();
    for at in [0_u64, 3, 26, 29] {
        if at % 10 % 3 == 0 {
            assert_eq!(std::fs::read(starget.path(&format!("out/f{at:03}"))).unwrap(), noise(at, 90_000));
        }
    }
    let refused = cdn.requests().iter().filter(|request| request.status == Some(403)).count();
    assert!(refused > 0 && served.layer_traffic().0 == refused + 1, "{refused}");
}
