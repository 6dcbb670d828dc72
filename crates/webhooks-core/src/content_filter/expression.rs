//! A filter in the form in which it is asked.

use std::cmp::Ordering;

use super::scalar::{Scalar, Value};
use crate::json_tree::Node;

/// A condition on what stands at one place of an event, or on there being nothing.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    /// All of them hold.
    All(Box<[Self]>),
    /// One of them holds.
    Any(Box<[Self]>),
    Not(Box<Self>),
    /// Fields of an object are so.
    Fields(Box<[(Box<str>, Self)]>),
    /// It is an array, and all of them hold of it.
    Holds(Box<[Self]>),
    /// It is there, or it is not.
    Exists(bool),
    /// A value is so.
    Is(Test),
}

/// A question about one value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// Is one of these, which are in order.
    OneOf(Box<[Value]>),
    /// Is a number, or a text, as this value is, and in one of two orders to it.
    Ordered([Ordering; 2], Value),
    /// Is a text that begins with one of these.
    StartsWith(Box<[Box<str>]>),
    /// Is a text that ends with one of these.
    EndsWith(Box<[Box<str>]>),
}

impl Expression {
    /// Whether it holds of what stands there. Makes no copy of anything.
    ///
    /// The depth of the calls is bounded by those of the filter and of what was read of the event.
    pub(super) fn holds(&self, found: Option<&Node<'_>>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.holds(found)),
            Self::Any(any) => any.iter().any(|one| one.holds(found)),
            Self::Not(not) => !not.holds(found),
            Self::Fields(fields) => one_of(found, &|found| has_fields(found, fields)),
            Self::Holds(all) => {
                matches!(found, Some(Node::List(_))) && all.iter().all(|one| one.holds(found))
            }
            Self::Exists(exists) => found.is_some() == *exists,
            Self::Is(test) => one_of(found, &|found| found.is_some_and(|node| test.holds(node))),
        }
    }
}

/// Whether something is so of what stands there; of an array, of one of its elements.
fn one_of(found: Option<&Node<'_>>, is_so: &dyn Fn(Option<&Node<'_>>) -> bool) -> bool {
    match found {
        Some(Node::List(items)) => items.iter().any(|item| one_of(Some(item), is_so)),
        found => is_so(found),
    }
}

fn has_fields(found: Option<&Node<'_>>, fields: &[(Box<str>, Expression)]) -> bool {
    let map = match found {
        Some(Node::Map(map)) => Some(map),
        // What is no object has none of its fields.
        _ => None,
    };
    let is_so = |(name, expression): &(Box<str>, Expression)| {
        expression.holds(map.and_then(|map| map.get(name)))
    };
    fields.iter().all(is_so)
}

impl Test {
    fn holds(&self, node: &Node<'_>) -> bool {
        let Some(found) = Scalar::of(node) else {
            return false;
        };
        match (self, found) {
            (Self::OneOf(values), found) => {
                values.binary_search_by(|value| value.order(found)).is_ok()
            }
            (Self::Ordered(orders, value), found) => {
                let is_like = value.scalar().is_some_and(|value| value.is_like(found));
                is_like && orders.contains(&value.order(found).reverse())
            }
            (Self::StartsWith(starts), Scalar::Text(text)) => {
                starts.iter().any(|start| text.starts_with(&**start))
            }
            (Self::EndsWith(ends), Scalar::Text(text)) => {
                ends.iter().any(|end| text.ends_with(&**end))
            }
            _ => false,
        }
    }
}
