//! Where the next page of a listing begins.
//!
//! A cursor is a version, eight bytes of a hash of the listing, and the id of the last item, in Base64. It
//! holds a place and no right: each page is narrowed to what its caller may see, so a forged cursor shows
//! nothing more. It is not signed for that reason.
//!
//! The hash is there against mistakes. A cursor under another filter would leave out items without a
//! word; it gets 400 `cursor-mismatch` instead. The limit is not part of the hash, so a client may change
//! the size of a page on the way.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The first byte of every cursor: how the rest is to be read.
const VERSION: u8 = 1;
/// Bytes of a filter's hash.
const HASH: usize = 8;
/// The longest cursor that is looked at, in characters.
const MAX: usize = 512;

/// What the pages of one listing have in common: its route and its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    hash: [u8; HASH],
    /// The query without its cursor.
    rest: String,
}

impl Filter {
    /// That of a path and a query, whatever the order of its parameters.
    pub(super) fn of(path: &str, query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut pairs: Vec<_> = pairs
            .filter(|(name, _)| name != "cursor" && name != "limit")
            .collect();
        pairs.sort();
        let mut hash = Sha256::new_with_prefix(path.as_bytes());
        for (name, value) in pairs {
            for part in [name, value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        let mut first = [0; HASH];
        for (to, from) in first.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        rest.extend_pairs(pairs.filter(|(name, _)| name != "cursor"));
        Self {
            hash: first,
            rest: rest.finish(),
        }
    }

    /// Where the page with this cursor is, from the page before.
    pub(super) fn link(&self, cursor: &str) -> String {
        let rest = &self.rest;
        let and = if rest.is_empty() { "" } else { "&" };
        format!("?{rest}{and}cursor={cursor}")
    }

    /// The cursor behind the item with this id.
    pub(super) fn cursor(&self, id: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.hash);
        bytes.extend(id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The id in a cursor of this listing.
    pub(super) fn read(&self, cursor: Option<&str>) -> Result<Option<String>, Problem> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let malformed = || Problem::malformed("cursor is none that was given here");
        let bytes = Some(cursor).filter(|cursor| cursor.len() <= MAX);
        let bytes = bytes.and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
        let bytes = bytes.ok_or_else(malformed)?;
        let (hash, id) = bytes
            .strip_prefix(&[VERSION])
            .and_then(|rest| rest.split_at_checked(HASH))
            .ok_or_else(malformed)?;
        if hash != self.hash {
            let detail = "cursor is of a listing with another filter";
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "cursor-mismatch",
                detail,
            ));
        }
        let id = String::from_utf8(id.to_vec()).map_err(|_| malformed())?;
        Ok(Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_listing() {
        let filter = Filter::of("/events", "type=a&tenant=b&limit=1");
        let cursor = filter.cursor("webhook_1");
        assert_eq!(filter.link("x"), "?type=a&tenant=b&limit=1&cursor=x");
        let next = Filter::of("/events", "limit=9&cursor=x&tenant=b&type=a");
        assert_eq!(
            next.read(Some(&cursor)).unwrap().as_deref(),
            Some("webhook_1")
        );
        assert_eq!(next.read(None).unwrap(), None);
        for (path, query) in [("/events", "type=a"), ("/deliveries", "type=a&tenant=b")] {
            let problem = Filter::of(path, query).read(Some(&cursor)).unwrap_err();
            assert_eq!(problem.code(), "cursor-mismatch");
        }
        for cursor in ["", "!", "AA", "AQ", &"A".repeat(10_000), "AQAAAAAAAAAA_w"] {
            assert!(filter.read(Some(cursor)).is_err(), "{cursor}");
        }
    }
}
