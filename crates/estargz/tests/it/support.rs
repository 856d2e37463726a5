//! What the tests share: hints of a layer that was written here, and short ways to open and read it.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;

use estargz::{
    Error, ImageTree, LayerHints, LayerOpener, LayerReader, MemorySource, OpenLayer, Progress, RangeSource,
    Verification,
};
use oci::ByteRange;
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry};

pub(crate) fn hints(built: &Built) -> LayerHints {
    let annotations = built.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    LayerHints::new(&built.descriptor(), annotations).expect("annotations of the writer")
}

/// A blob in memory that remembers what was asked of it.
pub(crate) struct Recorded {
    source: MemorySource<Vec<u8>>,
    pub(crate) asked: RefCell<Vec<ByteRange>>,
}

impl Recorded {
    pub(crate) fn new(built: &Built) -> Self {
        Self { source: MemorySource(built.blob.clone()), asked: RefCell::default() }
    }
}

impl RangeSource for Recorded {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read(&self, range: ByteRange) -> io::Result<Box<dyn Read + '_>> {
        self.asked.borrow_mut().push(range);
        self.source.read(range)
    }
}

pub(crate) type Reader = LayerReader<MemorySource<Vec<u8>>>;

pub(crate) fn try_open(built: &Built, verification: Verification) -> Result<Reader, Error> {
    let layer = open_layer(built, verification)?;
    Ok(LayerReader::new(MemorySource(built.blob.clone()), layer))
}

pub(crate) fn open(built: &Built) -> Reader {
    let verification = if built.annotations.is_empty() { Verification::IfStated } else { Verification::Required };
    try_open(built, verification).expect("an honest layer")
}

/// Opens it as a caller with a network would, an external table included.
pub(crate) fn open_layer(built: &Built, verification: Verification) -> Result<OpenLayer, Error> {
    let mut opener = LayerOpener::new(hints(built), verification);
    loop {
        match opener.advance()? {
            Progress::Need(range) => opener.supply(built.blob[range.start as usize..range.end as usize].to_vec())?,
            Progress::Ready(ready) => return Ok(ready.layer),
            Progress::NotLazy(reason) => match &built.external_toc {
                Some(table) => opener.supply_external_toc(table.clone())?,
                None => return Err(opener.not_lazy(reason)),
            },
        }
    }
}

pub(crate) fn content<S: RangeSource>(reader: &LayerReader<S>, path: &str) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let entry = reader.layer().toc().get(path).unwrap_or_else(|| panic!("{path} is not in the table"));
    reader.read_file(entry, &mut content).map(|()| content)
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// The tree of these layers, the lowest first.
pub(crate) fn image(layers: &[&[TarEntry]]) -> ImageTree {
    let open = |entries: &&[TarEntry]| {
        let built = StargzWriter::new(Flavour::EStargz).build(entries);
        Arc::new(open_layer(&built, Verification::Required).expect("an honest layer"))
    };
    ImageTree::merge(layers.iter().map(open).collect()).expect("few layers")
}

/// The paths of a tree, without the root.
pub(crate) fn paths(tree: &ImageTree) -> Vec<&str> {
    tree.walk().map(|node| node.path()).filter(|path| !path.is_empty()).collect()
}
