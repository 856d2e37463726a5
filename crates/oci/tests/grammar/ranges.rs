//! Range headers against the conformance suite's cases and a model that looks at every byte (reliability case A11).

use oci::{ByteRange, ContentRange, InvalidRange, RangeHeader, ResolvedRange};
use proptest::prelude::*;

fn span(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end).expect("a test's range is not empty")
}

fn resolve(header: &str, size: u64) -> ResolvedRange {
    RangeHeader::parse(header).expect(header).expect(header).resolve(size)
}

#[test]
fn conformance_cases_on_2048_bytes() {
    assert_eq!(resolve("bytes=500-1499", 2048), ResolvedRange::Single(span(500, 1500)));
    assert_eq!(resolve("bytes=500-", 2048), ResolvedRange::Single(span(500, 2048)));
    assert_eq!(resolve("bytes=-500", 2048), ResolvedRange::Single(span(1548, 2048)));
    assert_eq!(resolve("bytes=2000-5000", 2048), ResolvedRange::Single(span(2000, 2048)));
    assert_eq!(resolve("bytes=500-0", 2048), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("bytes=5000-10000", 2048), ResolvedRange::Unsatisfiable);
}

#[test]
fn edges() {
    assert_eq!(resolve("bytes=0-", 5), ResolvedRange::Single(span(0, 5)));
    assert_eq!(resolve("bytes=0-0", 5), ResolvedRange::Single(span(0, 1)));
    assert_eq!(resolve("bytes=4-4", 5), ResolvedRange::Single(span(4, 5)));
    assert_eq!(resolve("bytes=5-", 5), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("bytes=-1", 5), ResolvedRange::Single(span(4, 5)));
    assert_eq!(resolve("bytes=-0", 5), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("bytes=-9", 5), ResolvedRange::Single(span(0, 5)));
    assert_eq!(resolve("bytes=0-", 0), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("bytes=-1", 0), ResolvedRange::Full);
    assert_eq!(resolve("bytes=-0", 0), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("BYTES=1-1", 5), ResolvedRange::Single(span(1, 2)));
    assert_eq!(resolve(" bytes= 1-1 ,, ", 5), ResolvedRange::Single(span(1, 2)));
}

#[test]
fn numbers_past_u64_are_past_every_size() {
    let huge = "18446744073709551616";
    let long = "9".repeat(10_000);
    for number in [huge, "18446744073709551615", &long] {
        assert_eq!(resolve(&format!("bytes=1-{number}"), 5), ResolvedRange::Single(span(1, 5)));
        assert_eq!(resolve(&format!("bytes=-{number}"), 5), ResolvedRange::Single(span(0, 5)));
        assert_eq!(resolve(&format!("bytes={number}-"), 5), ResolvedRange::Unsatisfiable);
        assert_eq!(resolve(&format!("bytes={number}-{number}"), u64::MAX), ResolvedRange::Unsatisfiable);
    }
}

#[test]
fn sets() {
    assert_eq!(resolve("bytes=0-0,2-3", 9), ResolvedRange::Multiple(vec![span(0, 1), span(2, 4)]));
    assert_eq!(resolve("bytes=2-3,0-0", 9), ResolvedRange::Multiple(vec![span(2, 4), span(0, 1)]));
    assert_eq!(resolve("bytes=0-1,2-3", 9), ResolvedRange::Single(span(0, 4)));
    assert_eq!(resolve("bytes=0-3,2-5", 9), ResolvedRange::Single(span(0, 6)));
    assert_eq!(resolve("bytes=0-3,1-2", 9), ResolvedRange::Single(span(0, 4)));
    assert_eq!(resolve("bytes=0-0,20-30,5-2", 9), ResolvedRange::Single(span(0, 1)));
    assert_eq!(resolve("bytes=0-,0-,0-", 9), ResolvedRange::Full);
    assert_eq!(resolve("bytes=20-30,-0", 9), ResolvedRange::Unsatisfiable);
    assert_eq!(resolve("bytes=5-,0-", u64::MAX), ResolvedRange::Full, "the sum does not fit 64 bits");
}

#[test]
fn what_is_not_a_byte_range_set_is_ignored() {
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes =1-2",
        "bytes=0x1-2",
        "bytes=1.5-2",
        "items=0-5",
        "foo=0-1",
        "bytes:0-1",
        "bytes=1-2;3-4",
        "bytes=0-1,x",
        "bytes=٣-٤",
        "bytes=1-2\0",
    ] {
        assert_eq!(RangeHeader::parse(header), Ok(None), "{header}");
    }
}

#[test]
fn a_flood_of_ranges_is_refused() {
    let set = |count: usize| format!("bytes={}", vec!["0-0,2-3"; count / 2].join(","));
    assert!(RangeHeader::parse(&set(1024)).unwrap().is_some());
    assert_eq!(RangeHeader::parse(&set(2000)), Err(InvalidRange::TooMany));
    assert_eq!(RangeHeader::parse(&format!("bytes={}", ",".repeat(100_000))), Err(InvalidRange::TooMany));
}

#[derive(Clone, Debug)]
enum Spec {
    Bounded(u64, u64),
    From(u64),
    Suffix(u64),
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Self::Bounded(first, last) => format!("{first}-{last}"),
            Self::From(first) => format!("{first}-"),
            Self::Suffix(length) => format!("-{length}"),
        }
    }

    /// The bytes RFC 9110 section 14.1.2 selects, one by one.
    fn bytes(&self, size: u64) -> Vec<u64> {
        let wanted = |offset: &u64| match *self {
            Self::Bounded(first, last) => first <= *offset && *offset <= last,
            Self::From(first) => first <= *offset,
            Self::Suffix(length) => size - *offset <= length,
        };
        (0..size).filter(wanted).collect()
    }
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let spec = prop_oneof![
        3 => (0..40_u64, 0..40_u64).prop_map(|(first, last)| Spec::Bounded(first, last)),
        3 => (0..30_u64, 0..4_u64).prop_map(|(first, more)| Spec::Bounded(first, first + more)),
        1 => (0..40_u64).prop_map(Spec::From),
        1 => (0..40_u64).prop_map(Spec::Suffix),
    ];
    prop::collection::vec(spec, 1..6)
}

proptest! {
    #[test]
    fn resolution_agrees_with_the_model(specs in specs(), size in 0..32_u64) {
        let header = format!("bytes={}", specs.iter().map(Spec::text).collect::<Vec<_>>().join(","));
        let asked: Vec<Vec<u64>> = specs.iter().map(|spec| spec.bytes(size)).filter(|bytes| !bytes.is_empty()).collect();
        let total: usize = asked.iter().map(Vec::len).sum();
        let delivered = |ranges: &[ByteRange]| ranges.iter().flat_map(|range| range.start..range.end).collect::<Vec<u64>>();
        match resolve(&header, size) {
            ResolvedRange::Unsatisfiable => prop_assert!(asked.is_empty()),
            ResolvedRange::Full => prop_assert!(total as u64 > size || size == 0),
            ResolvedRange::Single(range) => {
                let mut union: Vec<u64> = asked.concat();
                union.sort_unstable();
                union.dedup();
                prop_assert_eq!(delivered(&[range]), union);
            }
            ResolvedRange::Multiple(ranges) => {
                prop_assert!(ranges.len() >= 2 && total as u64 <= size);
                if asked.is_sorted_by_key(|bytes| bytes[0]) {
                    let mut union = asked.concat();
                    union.sort_unstable();
                    union.dedup();
                    prop_assert_eq!(delivered(&ranges), union);
                    prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                } else {
                    prop_assert_eq!(delivered(&ranges), asked.concat());
                }
            }
        }
    }

    #[test]
    fn any_header_is_answered(header in "(bytes=)?[0-9,\\- a]{0,40}", size in any::<u64>()) {
        if let Ok(Some(parsed)) = RangeHeader::parse(&header) {
            let ranges = match parsed.resolve(size) {
                ResolvedRange::Full | ResolvedRange::Unsatisfiable => vec![],
                ResolvedRange::Single(range) => vec![range],
                ResolvedRange::Multiple(ranges) => ranges,
            };
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
        }
    }

    #[test]
    fn our_own_header_asks_for_exactly_the_range(start in 0..1000_u64, length in 1..1000_u64) {
        let range = span(start, start + length);
        prop_assert_eq!(resolve(&range.header_value(), 5000), ResolvedRange::Single(range));
        prop_assert_eq!(range.len(), length);
        prop_assert!(range.contains(start) && range.contains(range.end - 1) && !range.contains(range.end));
    }

    #[test]
    fn intersection_holds_the_common_bytes(a in 0..20_u64, b in 0..20_u64, c in 0..20_u64, d in 0..20_u64) {
        let (Some(one), Some(two)) = (ByteRange::new(a, b), ByteRange::new(c, d)) else { return Ok(()) };
        let common = one.intersect(&two);
        for offset in 0..20 {
            let both = one.contains(offset) && two.contains(offset);
            prop_assert_eq!(common.is_some_and(|range| range.contains(offset)), both);
        }
    }

    #[test]
    fn content_range_round_trip(start in 0..u64::MAX / 2, length in 1..u64::MAX / 4, rest in prop::option::of(0..1000_u64)) {
        let range = span(start, start + length);
        let written = ContentRange { range, total: rest.map(|rest| range.end + rest) };
        prop_assert_eq!(written.to_string().parse::<ContentRange>().unwrap(), written);
    }
}

#[test]
fn content_ranges_that_are_not() {
    assert_eq!("bytes 0-0/*".parse::<ContentRange>().unwrap(), ContentRange { range: span(0, 1), total: None });
    assert_eq!(ContentRange::unsatisfied(7), "bytes */7");
    for text in [
        "",
        "bytes",
        "bytes */7",
        "bytes 5-2/9",
        "bytes 0-9/9",
        "bytes 0-9/",
        "bytes 0-/9",
        "bytes -9/9",
        "bytes=0-1/9",
        "items 0-1/9",
        "bytes 0-18446744073709551615/*",
        "bytes 0-1/18446744073709551616",
        "bytes +0-1/2",
        "bytes  0-1/2",
        "bytes 0-1/2 ",
        "bytes 0-1/2/3",
    ] {
        assert!(text.parse::<ContentRange>().is_err(), "{text}");
    }
}
