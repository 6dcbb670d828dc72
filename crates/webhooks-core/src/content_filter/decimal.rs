//! A JSON number as what it is in mathematics: no digit of it is lost, and none is made up.

use std::cmp::Ordering;

/// A number, by its digits: `0.d1d2d3.. * 10^top`, with its sign. `1e2`, `100` and `100.00` are the
/// same, and so are `0` and `-0`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    /// -1, 0 or 1.
    sign: i8,
    top: i64,
    /// Digits before and behind the point, the first of all of them no zero. Zeros at the end
    /// count for nothing.
    whole: &'a [u8],
    fraction: &'a [u8],
}

/// Beyond all exponents that a text of bounded length can bring into balance with its digits.
const MAX_EXPONENT: i64 = i64::MAX / 4;

impl<'a> Decimal<'a> {
    /// Reads a number as JSON writes it; `None` of anything else.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent_of(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !all.clone().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let (top, fraction) = match whole {
            "" => {
                let significant = fraction.trim_start_matches('0');
                (-length(fraction) + length(significant), significant)
            }
            _ => (length(whole), fraction),
        };
        Some(Self {
            sign: match (all.clone().any(|digit| digit != b'0'), negative) {
                (false, _) => 0,
                (true, true) => -1,
                (true, false) => 1,
            },
            top: top.saturating_add(exponent),
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
        })
    }

    /// By their values.
    pub(crate) fn order(&self, other: &Decimal<'_>) -> Ordering {
        let by_sign = self.sign.cmp(&other.sign);
        if by_sign.is_ne() || self.sign == 0 {
            return by_sign;
        }
        let by_size = self.top.cmp(&other.top).then_with(|| self.by_digits(other));
        if self.sign < 0 {
            by_size.reverse()
        } else {
            by_size
        }
    }

    /// How many digits it has from the first to the last that is no zero, and what power of ten the
    /// last one counts.
    pub(crate) fn precision(&self) -> (i64, i64) {
        let significant = self.digits().rev().skip_while(|digit| *digit == b'0');
        let count = i64::try_from(significant.count()).unwrap_or(i64::MAX);
        (count, self.top.saturating_sub(count))
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + use<'a> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// Of two with their first digits in the same place.
    fn by_digits(&self, other: &Decimal<'_>) -> Ordering {
        let (mut ours, mut others) = (self.digits(), other.digits());
        loop {
            let order = match (ours.next(), others.next()) {
                (None, None) => return Ordering::Equal,
                // The shorter one goes on with zeros.
                (our, other) => our.unwrap_or(b'0').cmp(&other.unwrap_or(b'0')),
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

/// One that is beyond all bounds stays so, and orders as such.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let exponent = digits
        .parse()
        .map_or(MAX_EXPONENT, |exponent: i64| exponent.min(MAX_EXPONENT));
    Some(if text.starts_with('-') {
        -exponent
    } else {
        exponent
    })
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(one: &str, other: &str) -> Ordering {
        Decimal::read(one)
            .unwrap()
            .order(&Decimal::read(other).unwrap())
    }

    #[test]
    fn other_spellings_are_the_same_number() {
        for same in [
            &["0", "-0", "0.0", "-0e9", "0e99999999999999999999"][..],
            &["100", "1e2", "1E+2", "100.00", "0.1e3", "1000e-1"],
            &["-0.001", "-1e-3", "-0.0010", "-10e-4"],
            &["18446744073709551616", "18446744073709551616.0"],
        ] {
            for (one, other) in same
                .iter()
                .flat_map(|one| same.iter().map(move |o| (one, o)))
            {
                assert_eq!(order(one, other), Ordering::Equal, "{one} {other}");
            }
        }
    }

    #[test]
    fn numbers_are_ordered_by_value_to_the_last_digit() {
        let ascending = [
            "-1e99999999999999999999",
            "-1e400",
            "-18446744073709551617",
            "-18446744073709551616",
            "-1.5",
            "-1",
            "-1e-400",
            "0",
            "1e-99999999999999999999",
            "1e-400",
            "0.1",
            "0.10000000000000000000000001",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "1e400",
            "1.0000000000000000000001e400",
            "1e401",
        ];
        for (n, one) in ascending.iter().enumerate() {
            for (m, other) in ascending.iter().enumerate() {
                assert_eq!(order(one, other), n.cmp(&m), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for bad in [
            "", "-", "+1", "a", "1e", "1e+", ".5", "1.2.3", "0x1", "1 ", "e5", "NaN",
        ] {
            assert!(Decimal::read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn precision_is_of_what_counts() {
        let precision = |text| Decimal::read(text).unwrap().precision();
        assert_eq!(precision("1500"), (2, 2));
        assert_eq!(precision("0.00120"), (2, -4));
        assert_eq!(precision("1.25e10"), (3, 8));
        assert_eq!(precision("0.0").0, 0);
    }
}
