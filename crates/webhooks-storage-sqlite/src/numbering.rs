//! Giving each thing its number.

use crate::error::{Result, unknown};
use crate::numbers::{Numbers, READ};
use crate::state::State;

const WRITE: &str = "UPDATE webhook_meta SET revision = ?1, definitions = ?2, incarnations = ?3, \
    place = ?4, event = ?5, endpoint = ?6, document = ?7";

impl State {
    /// The numbers as they are inside this transaction.
    pub(crate) fn numbers(&mut self) -> Result<&Numbers> {
        if self.memory.numbers.is_none() {
            self.memory.numbers = self.find(READ, [], Numbers::of)?;
        }
        self.memory
            .numbers
            .as_ref()
            .ok_or_else(|| unknown("the row of numbers"))
    }

    /// Takes the next number of a kind. It is written with the commit, once for all calls in it.
    pub(crate) fn next(&mut self, number: fn(&mut Numbers) -> &mut i64) -> Result<i64> {
        self.numbers()?;
        let numbers = self.memory.numbers.as_mut();
        let numbers = numbers.ok_or_else(|| unknown("the row of numbers"))?;
        numbers.is_changed = true;
        let number = number(numbers);
        *number += 1;
        Ok(*number)
    }

    /// Notes that the last change was one of a definition.
    pub(crate) fn note_definition(&mut self) {
        if let Some(numbers) = self.memory.numbers.as_mut() {
            numbers.definitions = numbers.revision;
            numbers.is_changed = true;
        }
    }

    /// Writes the numbers, if they have changed.
    pub(crate) fn write_numbers(&mut self) -> Result<()> {
        let Some(n) = self.memory.numbers.filter(|numbers| numbers.is_changed) else {
            return Ok(());
        };
        let (first, rest) = (
            [n.revision, n.definitions, n.incarnations],
            [n.place, n.event],
        );
        let all = [first.as_slice(), rest.as_slice(), &[n.endpoint, n.document]].concat();
        self.execute(WRITE, rusqlite::params_from_iter(all))?;
        if let Some(numbers) = self.memory.numbers.as_mut() {
            numbers.is_changed = false;
        }
        Ok(())
    }
}
