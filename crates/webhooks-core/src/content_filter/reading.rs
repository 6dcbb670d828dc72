//! From the JSON of a filter to the form in which it is asked, with all that may be wrong with it.

use std::cmp::Ordering;
use std::fmt::Display;
use std::io;

use serde_json::{Map, Number, Value as Json};

use super::decimal::Decimal;
use super::expression::{Expression, Test};
use super::scalar::Value;

/// The longest filter, in bytes of JSON without spaces.
pub(super) const MAX_BYTES: usize = 16_384;
/// How deep arrays and objects of a filter may be nested, the outermost one counted.
pub(super) const MAX_DEPTH: usize = 16;
/// The most operators of a filter.
pub(super) const MAX_OPERATORS: usize = 64;
/// The most values that a filter compares with, however it does.
pub(super) const MAX_VALUES: usize = 256;
/// The most digits of a number that is no 64-bit integer, and the largest power of ten that its last
/// digit counts, up or down.
///
/// Within these a number is the same whichever way JSON readers take it: they keep it as a double,
/// and a double holds so many digits. More would be another number after it was stored.
const MAX_DIGITS: i64 = 15;
const MAX_SCALE: i64 = 22;
/// The fields of an event that a filter can name.
const EVENT_FIELDS: [&str; 5] = ["id", "event", "timestamp", "tenant", "data"];

/// What is wrong with a filter.
type Result<T> = std::result::Result<T, String>;

/// Reads a filter, after its bounds were checked.
pub(super) fn read(filter: &Json) -> Result<Expression> {
    // First: everything after it goes down as deep as the filter.
    check_depth(filter, 1)?;
    check_bytes(filter)?;
    let mut reader = Reader::default();
    let Json::Object(fields) = filter else {
        return Err("filter is no object that names fields of the event".into());
    };
    reader.object(fields, Place::Event)
}

fn check_depth(json: &Json, depth: usize) -> Result<()> {
    let check = |inner: &Json| check_depth(inner, depth + 1);
    match json {
        Json::Array(_) | Json::Object(_) if depth > MAX_DEPTH => {
            Err(format!("filter is nested more than {MAX_DEPTH} deep"))
        }
        Json::Array(items) => items.iter().try_for_each(check),
        Json::Object(fields) => fields.values().try_for_each(check),
        _ => Ok(()),
    }
}

fn check_bytes(filter: &Json) -> Result<()> {
    match serde_json::to_writer(Left(MAX_BYTES), filter) {
        Ok(()) => Ok(()),
        Err(_) => Err(format!("filter is longer than {MAX_BYTES} bytes")),
    }
}

/// Bytes that may still come. What they are goes nowhere.
struct Left(usize);

impl io::Write for Left {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let left = self.0.checked_sub(part.len());
        self.0 = left.ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is about the event as a whole, and names its fields.
    Event,
    /// It is about something within it.
    Field,
}

/// Reads expressions, and counts what is in them.
#[derive(Default)]
struct Reader {
    operators: usize,
    values: usize,
}

impl Reader {
    /// What stands at a field, or for an alternative.
    fn expression(&mut self, json: &Json, place: Place) -> Result<Expression> {
        match json {
            Json::Object(fields) => self.object(fields, place),
            _ if place == Place::Event => {
                Err("filter has something else where an object names fields of the event".into())
            }
            Json::Array(items) if items.iter().any(Json::is_array) => {
                Err("filter has an array in an array".into())
            }
            Json::Array(items) => Ok(Expression::Holds(self.expressions("array", items, place)?)),
            value => Ok(Expression::Is(Test::OneOf([self.value(value)?].into()))),
        }
    }

    fn object(&mut self, object: &Map<String, Json>, place: Place) -> Result<Expression> {
        let (mut all, mut fields) = (Vec::new(), Vec::new());
        for (name, json) in object {
            if name.starts_with('$') {
                all.push(self.operator(name, json, place)?);
                continue;
            }
            if place == Place::Event && !EVENT_FIELDS.contains(&name.as_str()) {
                let names = EVENT_FIELDS.join(", ");
                return Err(format!(
                    "filter names the field {} of the event, which has {names}",
                    shown(name)
                ));
            }
            let expression = self.expression(json, Place::Field)?;
            fields.push((name.as_str().into(), expression));
        }
        if !fields.is_empty() {
            all.push(Expression::Fields(fields.into()));
        }
        Ok(match all.pop() {
            // One alone needs nothing around it.
            Some(one) if all.is_empty() => one,
            last => Expression::All(all.into_iter().chain(last).collect()),
        })
    }

    fn operator(&mut self, name: &str, json: &Json, place: Place) -> Result<Expression> {
        self.operators += 1;
        most("operators", self.operators, MAX_OPERATORS)?;
        match (name, json) {
            ("$and", Json::Array(all)) => {
                return Ok(Expression::All(self.expressions(name, all, place)?));
            }
            ("$or", Json::Array(any)) => {
                return Ok(Expression::Any(self.expressions(name, any, place)?));
            }
            ("$not", not) => return Ok(not_so(self.expression(not, place)?)),
            ("$and" | "$or", _) => return Err(needs(name, "an array of expressions")),
            _ if place == Place::Event && is_known(name) => {
                return Err(format!(
                    "filter has {name} where fields of the event are named"
                ));
            }
            _ => {}
        }
        Ok(match (name, json) {
            ("$exist", Json::Bool(exists)) => Expression::Exists(*exists),
            ("$exist", _) => return Err(needs(name, "true or false")),
            ("$eq", value) => Expression::Is(Test::OneOf([self.operand(name, value)?].into())),
            ("$ne", value) => not_so(Expression::Is(Test::OneOf(
                [self.operand(name, value)?].into(),
            ))),
            ("$in", values) => Expression::Is(self.one_of(name, values)?),
            ("$nin", values) => not_so(Expression::Is(self.one_of(name, values)?)),
            ("$startsWith", texts) => Expression::Is(Test::StartsWith(self.texts(name, texts)?)),
            ("$endsWith", texts) => Expression::Is(Test::EndsWith(self.texts(name, texts)?)),
            _ => match orders(name) {
                Some(orders) => Expression::Is(Test::Ordered(orders, self.ordered(name, json)?)),
                None => {
                    return Err(format!(
                        "filter has the operator {}, which there is not",
                        shown(name)
                    ));
                }
            },
        })
    }

    /// One or more expressions.
    fn expressions(&mut self, of: &str, items: &[Json], place: Place) -> Result<Box<[Expression]>> {
        if items.is_empty() {
            return Err(format!("filter has an empty {of}"));
        }
        items
            .iter()
            .map(|item| self.expression(item, place))
            .collect()
    }

    fn one_of(&mut self, name: &str, json: &Json) -> Result<Test> {
        let values = match json {
            Json::Array(values) if !values.is_empty() => values,
            _ => return Err(needs(name, "an array of one or more values")),
        };
        let values = values.iter().map(|value| self.operand(name, value));
        let mut values = values.collect::<Result<Vec<_>>>()?;
        // In order, since it is searched by halves.
        values.sort_by(|one, other| {
            other
                .scalar()
                .map_or(Ordering::Less, |other| one.order(other))
        });
        Ok(Test::OneOf(values.into()))
    }

    fn texts(&mut self, name: &str, json: &Json) -> Result<Box<[Box<str>]>> {
        let texts = match json {
            Json::Array(texts) if !texts.is_empty() => texts.as_slice(),
            text => std::slice::from_ref(text),
        };
        let text = |text: &Json| match self.operand(name, text) {
            Ok(Value::Text(text)) => Ok(text),
            Ok(_) => Err(needs(name, "a string, or an array of one or more")),
            Err(error) => Err(error),
        };
        texts.iter().map(text).collect()
    }

    /// A value that others are before and behind.
    fn ordered(&mut self, name: &str, json: &Json) -> Result<Value> {
        match self.operand(name, json)? {
            value @ (Value::Number(_) | Value::Text(_)) => Ok(value),
            Value::Null | Value::Bool(_) => Err(needs(name, "a number or a string")),
        }
    }

    fn operand(&mut self, name: &str, json: &Json) -> Result<Value> {
        match json {
            Json::Array(_) | Json::Object(_) => Err(needs(
                name,
                "a string, a number, true, false or null to compare with",
            )),
            value => self.value(value),
        }
    }

    fn value(&mut self, json: &Json) -> Result<Value> {
        self.values += 1;
        most("values", self.values, MAX_VALUES)?;
        Ok(match json {
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Number(number_of(number)?),
            Json::String(text) => Value::Text(text.as_str().into()),
            // The two others were told apart before.
            Json::Null | Json::Array(_) | Json::Object(_) => Value::Null,
        })
    }
}

fn number_of(number: &Number) -> Result<Box<str>> {
    let text = number.to_string();
    let decimal = Decimal::read(&text).ok_or("filter has a number that is none")?;
    let (digits, scale) = decimal.precision();
    let is_integer = number.is_i64() || number.is_u64();
    if !is_integer && (digits > MAX_DIGITS || scale.abs() > MAX_SCALE) {
        return Err(format!(
            "filter has a number that is no 64-bit integer and has more than {MAX_DIGITS} digits, \
             or an exponent beyond {MAX_SCALE}"
        ));
    }
    Ok(text.into())
}

/// In which orders to its value what is found stands.
fn orders(operator: &str) -> Option<[Ordering; 2]> {
    use Ordering::{Equal, Greater, Less};
    Some(match operator {
        "$gt" => [Greater, Greater],
        "$gte" => [Greater, Equal],
        "$lt" => [Less, Less],
        "$lte" => [Less, Equal],
        _ => return None,
    })
}

fn is_known(operator: &str) -> bool {
    let others = [
        "$exist",
        "$eq",
        "$ne",
        "$in",
        "$nin",
        "$startsWith",
        "$endsWith",
    ];
    others.contains(&operator) || orders(operator).is_some()
}

fn not_so(expression: Expression) -> Expression {
    Expression::Not(Box::new(expression))
}

fn most(what: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        return Err(format!("filter has more than {most} {what}"));
    }
    Ok(())
}

fn needs(operator: &str, what: impl Display) -> String {
    format!("filter has {operator} without {what}")
}

/// A name of a caller's, of any length.
fn shown(name: &str) -> String {
    let start: String = name.chars().take(64).collect();
    format!("{start:?}")
}
