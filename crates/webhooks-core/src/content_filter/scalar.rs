//! Values that are no array and no object, as filters hold them and as events have them.

use std::cmp::Ordering;

use super::decimal::Decimal;
use crate::json_tree::Node;

/// A value as a filter holds it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number as JSON writes it, which was read as one before.
    Number(Box<str>),
    Text(Box<str>),
}

/// A value, wherever it is.
///
/// In order: null, then false and true, then numbers by their value, then texts by their code
/// points. Only those of one kind are ever compared in earnest; the order of kinds is for searches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    Text(&'a str),
}

impl Value {
    pub(super) fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Null => Scalar::Null,
            Self::Bool(bool) => Scalar::Bool(*bool),
            Self::Number(text) => Scalar::Number(Decimal::read(text)?),
            Self::Text(text) => Scalar::Text(text),
        })
    }

    /// Which of the two comes first.
    pub(super) fn order(&self, other: Scalar<'_>) -> Ordering {
        self.scalar()
            .map_or(Ordering::Less, |value| value.order(other))
    }
}

impl<'a> Scalar<'a> {
    /// `None` of an array and of an object.
    pub(super) fn of(node: &'a Node<'_>) -> Option<Self> {
        Some(match node {
            Node::Null => Self::Null,
            Node::Bool(bool) => Self::Bool(*bool),
            Node::Number(text) => Self::Number(Decimal::read(text)?),
            Node::Text(text) => Self::Text(text),
            Node::List(_) | Node::Map(_) | Node::Deep => return None,
        })
    }

    fn order(self, other: Scalar<'_>) -> Ordering {
        match (self, other) {
            (Self::Bool(one), Scalar::Bool(other)) => one.cmp(&other),
            (Self::Number(one), Scalar::Number(other)) => one.order(&other),
            // The order of the bytes of UTF-8 is that of the code points.
            (Self::Text(one), Scalar::Text(other)) => one.cmp(other),
            (one, other) => one.kind().cmp(&other.kind()),
        }
    }

    /// Whether both are numbers, or both texts, or both something else of one kind.
    pub(super) const fn is_like(self, other: Scalar<'_>) -> bool {
        self.kind() == other.kind()
    }

    const fn kind(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
        }
    }
}
