//! The one textual form of an enum whose variants carry nothing.

use crate::WebhookError;

/// How much of a text an error quotes, in characters.
const MOST_QUOTED: usize = 40;

/// Gives an enum its names: `ALL`, `as_str`, `Display`, `FromStr`, and serde as the same text. What
/// an error calls it comes first, then each variant with its name in snake case.
macro_rules! named {
    ($type:ident, $what:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            #[doc = concat!("Every ", $what, ".")]
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, in snake case: what `Display`, `FromStr` and serde write and read.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::WebhookError;

            fn from_str(text: &str) -> crate::Result<Self> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(crate::named::unknown($what, text, &[$($name),+])),
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;

/// The error for a text that is none of the `names`.
pub(crate) fn unknown(what: &str, text: &str, names: &[&str]) -> WebhookError {
    let mut quoted: String = text.chars().take(MOST_QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push_str("..");
    }
    let names = names.join(", ");
    WebhookError::UnknownName(format!("{quoted:?} is no {what}, which are {names}").into())
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::storage::{Change, DisabledBy};
    use crate::{
        CancelReason, CircuitState, DeadReason, DeliveryState, FailureKind, HeldBy, Priority,
        SentOutcome, SignatureScheme, StorageCallEnd, TracePropagation, WebhookError,
    };

    /// Whether the name is that of the variant, in snake case.
    fn is_snake_case_of(name: &str, variant: &str) -> bool {
        let words = variant.chars().enumerate().flat_map(|(n, c)| {
            let separator = (n > 0 && c.is_uppercase()).then_some('_');
            separator.into_iter().chain(c.to_lowercase())
        });
        words.eq(name.chars())
    }

    fn check<T>(all: &[T], name: fn(T) -> &'static str)
    where
        T: Copy + Debug + Display + PartialEq + Serialize + DeserializeOwned,
        T: FromStr<Err = WebhookError>,
    {
        for value in all {
            let text = name(*value);
            assert!(is_snake_case_of(text, &format!("{value:?}")), "{value:?}");
            assert_eq!(value.to_string(), text);
            assert_eq!(&text.parse::<T>().unwrap(), value);
            let json = serde_json::to_value(value).unwrap();
            assert_eq!(json, text);
            assert_eq!(&serde_json::from_value::<T>(json).unwrap(), value);
            // A name is that, and no longer one with another case or more around it.
            for other in [text.to_uppercase(), format!("{text} "), format!("{text}s")] {
                let error = other.parse::<T>().unwrap_err();
                assert!(matches!(error, WebhookError::UnknownName(_)), "{error:?}");
                assert!(error.to_string().contains(&format!("{other:?}")), "{error}");
                assert!(serde_json::from_value::<T>(other.into()).is_err());
            }
        }
        assert!("".parse::<T>().is_err());
        assert!(serde_json::from_value::<T>(7.into()).is_err());
        let error = "x".repeat(100_000).parse::<T>().unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
        assert!(error.source().is_none());
    }

    #[test]
    fn every_name_round_trips_and_other_texts_are_errors() {
        check(DeliveryState::ALL, DeliveryState::as_str);
        check(DeadReason::ALL, DeadReason::as_str);
        check(CancelReason::ALL, CancelReason::as_str);
        check(FailureKind::ALL, FailureKind::as_str);
        check(Priority::ALL, Priority::as_str);
        check(SignatureScheme::ALL, SignatureScheme::as_str);
        check(CircuitState::ALL, CircuitState::as_str);
        check(HeldBy::ALL, HeldBy::as_str);
        check(DisabledBy::ALL, DisabledBy::as_str);
        check(Change::ALL, Change::as_str);
        check(SentOutcome::ALL, SentOutcome::as_str);
        check(StorageCallEnd::ALL, StorageCallEnd::as_str);
        check(TracePropagation::ALL, TracePropagation::as_str);
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_there_are() {
        let error = "lost".parse::<DeliveryState>().unwrap_err();
        let expected = "unknown name: \"lost\" is no delivery state, which are blocked, ready, \
                        scheduled, leased, delivered, dead, cancelled";
        assert_eq!(error.to_string(), expected);
    }
}
