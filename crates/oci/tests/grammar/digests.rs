//! Digests (reliability case A04) and the running hash.

use oci::{Digest, DigestAlgorithm, Digester, InvalidDigest};
use proptest::prelude::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

#[test]
fn known_answers() {
    assert_eq!(Digest::sha256_of(b"").to_string(), EMPTY);
    assert_eq!(Digest::of(DigestAlgorithm::Sha512, b"").to_string(), EMPTY_512);
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::sha256_of(b"abc").to_string(), abc);
    assert_eq!(format!("{:?}", Digest::sha256_of(b"abc")), abc);
    assert_eq!(format!("sha256:{}", Digest::sha256_of(b"abc").hex()), abc);
}

#[test]
fn text_that_is_no_digest() {
    let hex = "a".repeat(64);
    for (text, expected) in [
        (String::new(), "NoSeparator"),
        (hex.clone(), "NoSeparator"),
        (format!("md5:{}", "a".repeat(32)), "UnsupportedAlgorithm"),
        (format!("SHA256:{hex}"), "UnsupportedAlgorithm"),
        (format!("sha384:{}", "a".repeat(96)), "UnsupportedAlgorithm"),
        (format!(" sha256:{hex}"), "UnsupportedAlgorithm"),
        (format!("sha256+b64:{hex}"), "UnsupportedAlgorithm"),
        (format!("sha256:{}", "a".repeat(63)), "WrongLength"),
        (format!("sha256:{}", "a".repeat(65)), "WrongLength"),
        (format!("sha512:{hex}"), "WrongLength"),
        ("sha256:../..".to_owned(), "WrongLength"),
        (format!("sha256:sha256:{hex}"), "WrongLength"),
        (format!("sha256:{hex}\n"), "WrongLength"),
        (format!("sha256:{}", "A".repeat(64)), "NotLowercaseHex"),
        (format!("sha256:{}g", "a".repeat(63)), "NotLowercaseHex"),
        (format!("sha256:../{}", "a".repeat(61)), "NotLowercaseHex"),
        (format!("sha256:{}", "é".repeat(32)), "NotLowercaseHex"),
    ] {
        let error = text.parse::<Digest>().expect_err(&text);
        let actual = match error {
            InvalidDigest::NoSeparator { .. } => "NoSeparator",
            InvalidDigest::UnsupportedAlgorithm { .. } => "UnsupportedAlgorithm",
            InvalidDigest::WrongLength { .. } => "WrongLength",
            InvalidDigest::NotLowercaseHex { .. } => "NotLowercaseHex",
        };
        assert_eq!(actual, expected, "{text}");
        assert!(error.to_string().len() < 500);
    }
}

proptest! {
    #[test]
    fn text_round_trip(text in "(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})") {
        let digest: Digest = text.parse().unwrap();
        prop_assert_eq!(digest.to_string(), text.clone());
        let json = serde_json::to_string(&digest).unwrap();
        prop_assert_eq!(&json, &format!("\"{text}\""));
        prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn order_is_that_of_the_text(a in "sha(256:[ab]{64}|512:[ab]{128})", b in "sha(256:[ab]{64}|512:[ab]{128})") {
        prop_assert_eq!(a.parse::<Digest>().unwrap().cmp(&b.parse().unwrap()), a.cmp(&b));
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        if let Ok(digest) = text.parse::<Digest>() { prop_assert_eq!(digest.to_string(), text); }
    }

    #[test]
    fn pieces_and_forks_hash_like_the_whole(head in any::<Vec<u8>>(), tail in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
            let mut digester = Digester::new(algorithm);
            digester.update(&head);
            let mut fork = digester.clone();
            digester.update(&tail);
            fork.update(&other);
            prop_assert_eq!(digester.finish(), Digest::of(algorithm, &[&head[..], &tail].concat()));
            prop_assert_eq!(fork.finish(), Digest::of(algorithm, &[&head[..], &other].concat()));
        }
    }
}
