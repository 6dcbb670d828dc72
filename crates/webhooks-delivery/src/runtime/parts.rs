//! What is stored in several calls.
//!
//! One bad item among many must cost neither the others nor a call for each: halving finds it in
//! about twice as many calls as the binary logarithm of the batch.

use std::ops::Range;

use webhooks_core::{Result, WebhookError};

/// Places of items that are still to be stored, in parts: each of a bounded number and weight, and
/// smaller ones where the storage refuses one, so that one item holds no other up.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The next is the last.
    /// Their ranges do not overlap, and each item is in one of them until it is taken out by
    /// `next`.
    left: Vec<Range<usize>>,
}

impl Parts {
    /// Parts of at most so many items and so much weight; an item that is heavier is alone.
    pub(crate) fn new(
        weights: impl IntoIterator<Item = usize>,
        most: usize,
        heaviest: usize,
    ) -> Self {
        let mut left: Vec<Range<usize>> = Vec::new();
        let mut weight = 0_usize;
        for (n, item) in weights.into_iter().enumerate() {
            weight = weight.saturating_add(item);
            match left.last_mut() {
                Some(part) if part.len() < most && weight <= heaviest => part.end = n + 1,
                _ => {
                    weight = item;
                    left.push(n..n + 1);
                }
            }
        }
        left.reverse();
        Self { left }
    }

    /// The part to be stored next, in order.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.left.pop()
    }

    /// This part is to be tried again, before any other.
    pub(crate) fn again(&mut self, part: Range<usize>) {
        self.left.push(part);
    }

    /// This part was refused: its two halves are next. `false` if it is a single item.
    pub(crate) fn split(&mut self, part: &Range<usize>) -> bool {
        if part.len() < 2 {
            return false;
        }
        let middle = part.start + part.len() / 2;
        // The first half comes out next, so that items stay in their order.
        self.left.extend([middle..part.end, part.start..middle]);
        true
    }
}

/// The answers, if there is one to each question: else nobody knows whose they are.
///
/// # Errors
///
/// An error of the call, as the contract says; it may have been carried out.
pub(crate) fn check_answers<T>(asked: usize, answers: Vec<T>) -> Result<Vec<T>> {
    if answers.len() == asked {
        return Ok(answers);
    }
    let answered = answers.len();
    Err(WebhookError::wrong_number_of_answers(asked, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_by_number_and_weight_and_keep_the_order() {
        let mut parts = Parts::new([1, 1, 1, 9, 4, 4, 4], 2, 8);
        let mut all = Vec::new();
        while let Some(part) = parts.next() {
            all.push(part);
        }
        assert_eq!(all, [0..2, 2..3, 3..4, 4..6, 6..7]);
    }

    #[test]
    fn a_refused_part_is_halved_down_to_one() {
        let mut parts = Parts::new([1; 5], 8, 8);
        let (mut alone, mut stored) = (Vec::new(), Vec::new());
        while let Some(part) = parts.next() {
            if !part.contains(&3) {
                stored.extend(part);
            } else if !parts.split(&part) {
                alone.extend(part);
            }
        }
        assert_eq!((stored, alone), (vec![0, 1, 2, 4], vec![3]));
    }
}
