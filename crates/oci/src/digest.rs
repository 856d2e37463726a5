//! Digests: the names of bytes (image-spec "Descriptors", section Digests), and the running hash that makes them.
//!
//! Must not know where bytes come from or go to. Invariant: a `Digest` is of a supported algorithm and has exactly
//! its length, so it is safe in paths and its text form is canonical: equal digests have equal text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use aws_lc_rs::digest as hash;

use crate::newtype::{excerpt, serde_as_text};

/// A hash algorithm that registries must support (image-spec "Registered algorithms"). Weaker ones do not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256: what nearly everything uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// The name as it stands before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn implementation(self) -> &'static hash::Algorithm {
        match self {
            Self::Sha256 => &hash::SHA256,
            Self::Sha512 => &hash::SHA512,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl FromStr for DigestAlgorithm {
    type Err = InvalidDigest;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or_else(|| InvalidDigest::UnsupportedAlgorithm { algorithm: excerpt(name) })
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The digest of some bytes: `sha256:<64 lowercase hex>` or `sha512:<128 lowercase hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(Value);

impl Hash for Digest {
    /// A digest is spread evenly already: a part of it, too long to collide on purpose, is enough for a map.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.bytes()[..16]);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

/// Why text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// There is no colon between algorithm and value.
    #[error("invalid digest \"{value}\": expected <algorithm>:<hex>")]
    NoSeparator {
        /// The refused text, shortened.
        value: String,
    },
    /// The algorithm is not one we verify with.
    #[error("unsupported digest algorithm \"{algorithm}\": expected sha256 or sha512")]
    UnsupportedAlgorithm {
        /// The refused algorithm, shortened.
        algorithm: String,
    },
    /// The value is shorter or longer than the algorithm's.
    #[error("invalid {algorithm} digest: {actual} characters after the colon, expected {expected}")]
    WrongLength {
        /// The algorithm named before the colon.
        algorithm: DigestAlgorithm,
        /// How many characters it needs.
        expected: usize,
        /// How many bytes there were.
        actual: usize,
    },
    /// The value has other characters than `0-9a-f`.
    #[error("invalid {algorithm} digest: the part after the colon must be lowercase hexadecimal")]
    NotLowercaseHex {
        /// The algorithm named before the colon.
        algorithm: DigestAlgorithm,
    },
}

impl Digest {
    /// The algorithm named before the colon.
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.0 {
            Value::Sha256(_) => DigestAlgorithm::Sha256,
            Value::Sha512(_) => DigestAlgorithm::Sha512,
        }
    }

    /// The value after the colon: lowercase hexadecimal, safe as a file name.
    pub fn hex(&self) -> String {
        hex::encode(self.bytes())
    }

    /// The digest of `bytes` under `algorithm`.
    pub fn of(algorithm: DigestAlgorithm, bytes: &[u8]) -> Self {
        let mut digester = Digester::new(algorithm);
        digester.update(bytes);
        digester.finish()
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self::of(DigestAlgorithm::Sha256, bytes)
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Value::Sha256(bytes) => bytes,
            Value::Sha512(bytes) => bytes,
        }
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or_else(|| InvalidDigest::NoSeparator { value: excerpt(text) })?;
        let algorithm = DigestAlgorithm::from_name(name)
            .ok_or_else(|| InvalidDigest::UnsupportedAlgorithm { algorithm: excerpt(name) })?;
        let expected = algorithm.hex_len();
        if value.len() != expected {
            return Err(InvalidDigest::WrongLength { algorithm, expected, actual: value.len() });
        }
        // `hex` accepts uppercase too, which would give one digest two spellings.
        if !value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidDigest::NotLowercaseHex { algorithm });
        }
        decode(algorithm, value).map_err(|_| InvalidDigest::NotLowercaseHex { algorithm })
    }
}

fn decode(algorithm: DigestAlgorithm, value: &str) -> Result<Digest, hex::FromHexError> {
    match algorithm {
        DigestAlgorithm::Sha256 => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(value, &mut bytes)?;
            Ok(Digest(Value::Sha256(bytes)))
        }
        DigestAlgorithm::Sha512 => {
            let mut bytes = [0; 64];
            hex::decode_to_slice(value, &mut bytes)?;
            Ok(Digest(Value::Sha512(bytes)))
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // On the stack: digests are printed into headers and log lines on every request.
        let mut text = [0; 128];
        let text = &mut text[..self.algorithm().hex_len()];
        hex::encode_to_slice(self.bytes(), text).map_err(|_| fmt::Error)?;
        formatter.write_str(self.algorithm().as_str())?;
        formatter.write_str(":")?;
        formatter.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(Digest);

/// A running hash. A clone is a fork: both go on from the bytes seen so far.
#[derive(Clone)]
pub struct Digester {
    algorithm: DigestAlgorithm,
    context: hash::Context,
}

impl Digester {
    /// Starts a hash of no bytes.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self { algorithm, context: hash::Context::new(algorithm.implementation()) }
    }

    /// Adds the bytes that follow those seen so far.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all bytes seen.
    pub fn finish(self) -> Digest {
        let output = self.context.finish();
        match self.algorithm {
            DigestAlgorithm::Sha256 => Digest(Value::Sha256(fixed(output.as_ref()))),
            DigestAlgorithm::Sha512 => Digest(Value::Sha512(fixed(output.as_ref()))),
        }
    }
}

/// The output as an array; the algorithm was chosen with its length, so the lengths agree.
fn fixed<const N: usize>(output: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(output);
    bytes
}

impl fmt::Debug for Digester {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Digester").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
