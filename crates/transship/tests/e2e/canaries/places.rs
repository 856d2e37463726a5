//! Everything the program showed to anybody, by place.
//!
//! Must not know: secrets. Invariant: what was shown stays until it has been searched.

use crate::http::Answer;

/// What was shown.
#[derive(Default)]
pub(crate) struct Shown {
    places: Vec<(String, String)>,
}

impl Shown {
    /// Bytes that somebody can see, taken for text.
    pub(crate) fn bytes(&mut self, place: &str, bytes: &[u8]) {
        self.places.push((place.to_owned(), String::from_utf8_lossy(bytes).into_owned()));
    }

    /// An answer to a client.
    pub(crate) fn answer(&mut self, place: &str, answer: &Answer) {
        self.bytes(place, format!("{} {:?}", answer.status, answer.headers).as_bytes());
        // Content is the image's own.
        if answer.status != 200 || answer.header("content-type").contains("json") {
            self.bytes(place, &answer.body);
        }
    }

    /// How many bytes there are in places whose name begins so.
    pub(crate) fn size_of(&self, place: &str) -> usize {
        self.places.iter().filter(|(name, _)| name.starts_with(place)).map(|(_, text)| text.len()).sum()
    }

    /// Whether a place of this name holds the text.
    pub(crate) fn holds(&self, place: &str, text: &str) -> bool {
        self.places.iter().any(|(name, shown)| name.starts_with(place) && shown.contains(text))
    }

    /// The text stands nowhere.
    #[track_caller]
    pub(crate) fn assert_without(&self, text: &str) {
        for (place, shown) in &self.places {
            let before = shown.find(text).map(|at| {
                let from = (0..=at.saturating_sub(300)).rev().find(|from| shown.is_char_boundary(*from)).unwrap_or(0);
                shown[from..at].to_owned()
            });
            assert_eq!(before, None, "{text} is shown in {place} after this");
        }
    }
}
