//! Lists of mostly one.

use smallvec::SmallVec;

/// Nearly always one, which then needs no allocation of its own.
pub(crate) type OneOrMore<T> = SmallVec<[T; 1]>;
