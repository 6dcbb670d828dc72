//! Keys of programs that call the API.
//!
//! A key is `whk_<id>_<secret>`: the id finds the document, the secret opens it. The secret is 256 random
//! bits, so a plain SHA-256 of it is enough: a slow hash protects what people choose, and would make each
//! request slow here.
//!
//! A rotation keeps the hash of before for the overlap that the caller names. A key holds two hashes at
//! most, so a second rotation drops the oldest at once.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ctutils::CtEq;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use webhooks_core::{Result, Timestamp, random_bytes};

use super::scope::Scopes;

/// What every key begins with, so that scanners for leaked secrets find them.
const PREFIX: &str = "whk_";
/// Characters of an id.
const ID: usize = 8;
/// What ids are made of: no character that is taken for another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A key as it is kept: who has it shows it by its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    /// What people call it.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// The tenant whose things alone it opens.
    pub(crate) tenant: Option<Arc<str>>,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Who made it.
    pub(crate) created_by: Arc<str>,
    /// From when on it is not taken.
    pub(crate) expires_at: Option<Timestamp>,
    /// Addresses from which alone it is taken; empty means any.
    pub(crate) allowed_cidrs: Vec<IpNet>,
    /// To the minute.
    pub(crate) last_used_at: Option<Timestamp>,
    /// SHA-256 of the secret, Base64.
    hash: String,
    /// The one of before a rotation, and until when it is taken.
    previous: Option<(String, Timestamp)>,
}

/// A key as its owner has it: `whk_<id>_<secret>`.
pub(crate) struct KeyText {
    /// Under which it is kept.
    pub(crate) id: String,
    /// 43 characters; wiped with nothing, so that it lives no longer than its request.
    secret: String,
}

impl KeyText {
    /// A new key, of 256 random bits.
    pub(crate) fn generate() -> Result<Self> {
        let id = random_bytes::<ID>()?.map(|byte| {
            // 32 characters, so that each is as likely as any other.
            let place = usize::from(byte) % ALPHABET.len();
            ALPHABET.get(place).copied().map_or('a', char::from)
        });
        Ok(Self {
            id: id.iter().collect(),
            secret: URL_SAFE_NO_PAD.encode(random_bytes::<32>()?),
        })
    }

    /// The same under another id.
    pub(crate) fn with_id(self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..self
        }
    }

    /// Takes a key apart; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = id.len() == ID && id.bytes().all(|byte| ALPHABET.contains(&byte));
        (is_id && secret.len() == 43).then(|| Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The whole key, to be shown once.
    pub(crate) fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }

    /// What is kept of it.
    fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret.as_bytes()))
    }
}

/// What whoever makes a key decides of it.
#[derive(Clone, Debug)]
pub(crate) struct KeyTerms {
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) allowed_cidrs: Vec<IpNet>,
}

impl ApiKey {
    /// A key with this text, made by somebody at this time.
    pub(crate) fn new(text: &KeyText, terms: KeyTerms, by: Arc<str>, now: Timestamp) -> Self {
        Self {
            name: terms.name,
            scopes: terms.scopes,
            tenant: terms.tenant,
            created_at: now,
            created_by: by,
            expires_at: terms.expires_at,
            allowed_cidrs: terms.allowed_cidrs,
            last_used_at: None,
            hash: text.hash(),
            previous: None,
        }
    }

    /// Takes another secret; the one of now is taken until then.
    pub(crate) fn rotate(&mut self, text: &KeyText, previous_until: Timestamp) {
        let before = std::mem::replace(&mut self.hash, text.hash());
        self.previous = Some((before, previous_until));
    }

    /// Whether it has not ended.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it is taken from this address.
    pub(crate) fn is_allowed_from(&self, from: Option<IpAddr>) -> bool {
        let mut networks = self.allowed_cidrs.iter();
        let from = from.map(|from| from.to_canonical());
        self.allowed_cidrs.is_empty()
            || from.is_some_and(|from| networks.any(|network| network.contains(&from)))
    }

    /// Whether this is the key, in a time that does not depend on what is wrong with it.
    pub(crate) fn is(&self, text: &KeyText, now: Timestamp) -> bool {
        let hash = text.hash();
        let is_current = same(&self.hash, &hash);
        let previous = self.previous.as_ref();
        let is_previous = previous.is_some_and(|(kept, until)| same(kept, &hash) && now < *until);
        (is_current || is_previous) && self.is_live(now)
    }
}

/// Spends on an id that there is not what a wrong secret costs.
pub(crate) fn compare_in_vain(text: &KeyText) {
    let _same = same(&text.hash(), "-");
}

/// Whether two texts are the same, in a time that depends on their lengths alone.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text() {
        let key = KeyText::generate().unwrap();
        let read = KeyText::parse(&key.expose()).unwrap();
        assert_eq!(
            (read.id.as_str(), read.hash()),
            (key.id.as_str(), key.hash())
        );
        for text in [
            "",
            "whk_",
            "whk_ab12cd34",
            "whk_ABCDEFGH_x",
            &key.expose()[1..],
        ] {
            assert!(KeyText::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_rotated_key_is_taken_until_its_overlap_ends() {
        let at = Timestamp::from_secs;
        let (old, new) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
        let terms = KeyTerms {
            name: "ci".into(),
            scopes: Scopes::of_tenants(),
            tenant: None,
            expires_at: Some(at(100)),
            allowed_cidrs: Vec::new(),
        };
        let mut key = ApiKey::new(&old, terms, "root".into(), at(0));
        assert!(key.is(&old, at(1)) && !key.is(&new, at(1)));
        key.rotate(&new, at(10));
        assert!(key.is(&old, at(9)) && !key.is(&old, at(10)) && key.is(&new, at(10)));
        assert!(!key.is(&new, at(100)));
        let kept = serde_json::to_string(&key).unwrap();
        assert!(!kept.contains(&new.secret) && !kept.contains(&old.secret));
    }
}
