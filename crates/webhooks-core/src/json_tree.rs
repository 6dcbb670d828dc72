//! A text of JSON, read once so that many can look things up in it.

use std::borrow::Cow;

/// How deep arrays and objects may be nested. What is deeper is there, and nothing else is known
/// of it: neither reading a stranger's data nor dropping what was read may use up the stack. That is
/// more than an event's data [may have](crate::MAX_DATA_DEPTH), with the envelope around it.
const MAX_DEPTH: usize = 128;

/// A value. Texts are borrowed where they hold no escape, and numbers are as they were written.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Map(Map<'a>),
    /// An array or object that is nested too deep.
    Deep,
}

/// An object, by its keys in order. Of keys that stand twice the last one counts, as serde_json,
/// JavaScript and PostgreSQL's `jsonb` read them.
#[derive(Debug, Default)]
pub(crate) struct Map<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Map<'a> {
    fn new(mut fields: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        // Stable, and from the back: the last of equal keys is the first of them now.
        fields.reverse();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        fields.dedup_by(|(later, _), (first, _)| later == first);
        Self(fields)
    }

    /// Looked for by halves: a stranger's object may have any number of keys.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        let place = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        self.0.get(place).map(|(_, node)| node)
    }

    /// Puts a field in, in the place of the one of this name.
    pub(crate) fn set(&mut self, name: &'a str, node: Node<'a>) {
        let field = (Cow::Borrowed(name), node);
        match self.0.binary_search_by(|(key, _)| (**key).cmp(name)) {
            Ok(place) => {
                if let Some(old) = self.0.get_mut(place) {
                    *old = field;
                }
            }
            Err(place) => self.0.insert(place, field),
        }
    }
}

impl<'a> Node<'a> {
    /// Reads a text that is known to be JSON; `None` of one that turns out to be none.
    pub(crate) fn read(json: &'a str) -> Option<Self> {
        let mut reader = Reader { rest: json };
        let node = reader.value(0)?;
        reader.peek().is_none().then_some(node)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        // Checked before each step down.
        if depth == MAX_DEPTH && matches!(self.peek(), Some(b'[' | b'{')) {
            self.pass()?;
            return Some(Node::Deep);
        }
        Some(match self.peek()? {
            b'{' => Node::Map(self.map(depth)?),
            b'[' => Node::List(self.list(depth)?),
            b'"' => Node::Text(self.string()?),
            _ => match self.word() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "null" => Node::Null,
                "" => return None,
                number => Node::Number(number),
            },
        })
    }

    fn map(&mut self, depth: usize) -> Option<Map<'a>> {
        let mut fields = Vec::new();
        self.skip(1);
        while self.peek()? != b'}' {
            let key = self.string()?;
            if self.peek()? != b':' {
                return None;
            }
            self.skip(1);
            fields.push((key, self.value(depth + 1)?));
            self.separator(b'}')?;
        }
        self.skip(1);
        Some(Map::new(fields))
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node<'a>>> {
        let mut items = Vec::new();
        self.skip(1);
        while self.peek()? != b']' {
            items.push(self.value(depth + 1)?);
            self.separator(b']')?;
        }
        self.skip(1);
        Some(items)
    }

    /// Passes an array or an object with all that is in it, without a step down.
    fn pass(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' | b':' => {}
                _ => {
                    if self.word().is_empty() {
                        return None;
                    }
                    continue;
                }
            }
            self.skip(1);
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Passes a comma, if the end is not next.
    fn separator(&mut self, end: u8) -> Option<()> {
        match self.peek()? {
            b',' => self.skip(1),
            byte if byte == end => {}
            _ => return None,
        }
        Some(())
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let text = self.rest.strip_prefix('"')?;
        let bytes = text.as_bytes();
        let (mut end, mut is_plain) = (0, true);
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    // The escaped byte too, which may be a quote.
                    end += 2;
                }
                _ => end += 1,
            }
        }
        let quoted = self.rest.get(..end + 2)?;
        self.skip(end + 2);
        if is_plain {
            return text.get(..end).map(Cow::Borrowed);
        }
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }

    /// What stands up to the next sign of structure.
    fn word(&mut self) -> &'a str {
        let is_end = |byte| b",:]}[{\" \t\r\n".contains(&byte);
        let end = self.rest.bytes().position(is_end);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Map<'_> {
        match Node::read(json) {
            Some(Node::Map(map)) => map,
            other => panic!("{other:?} is no object"),
        }
    }

    #[test]
    fn of_keys_that_stand_twice_the_last_one_counts() {
        let read = map(r#" { "b" : 1 , "a":2,"b":3,"\u0062":4, "c":[ ] } "#);
        assert!(matches!(read.get("a"), Some(Node::Number("2"))));
        assert!(matches!(read.get("b"), Some(Node::Number("4"))));
        assert!(matches!(read.get("c"), Some(Node::List(items)) if items.is_empty()));
        assert!(read.get("d").is_none());
    }

    #[test]
    fn texts_and_numbers_are_as_they_were_written() {
        let read =
            map(r#"{"t":"a\"\ud83d\ude00\\","p":"b\u00fcch","n":-1.50e+400,"l":[null,true]}"#);
        assert!(matches!(read.get("t"), Some(Node::Text(text)) if text == "a\"\u{1f600}\\"));
        assert!(matches!(read.get("p"), Some(Node::Text(text)) if text == "b\u{fc}ch"));
        assert!(matches!(read.get("n"), Some(Node::Number("-1.50e+400"))));
        let Some(Node::List(items)) = read.get("l") else {
            panic!("no list")
        };
        assert!(matches!(items[..], [Node::Null, Node::Bool(true)]));
    }

    #[test]
    fn what_is_nested_too_deep_is_passed_without_a_step_down() {
        let deep = format!(
            "{}\"]\"{}",
            "[{\"a\":".repeat(500_000),
            "}]".repeat(500_000)
        );
        let json = format!("{{\"deep\":{deep},\"next\":1}}");
        let read = map(&json);
        assert!(matches!(read.get("next"), Some(Node::Number("1"))));
        assert!(matches!(read.get("deep"), Some(Node::List(_))));
    }

    #[test]
    fn what_is_no_json_is_none() {
        for bad in [
            "",
            "{",
            "[",
            "[1",
            "{\"a\"}",
            "{\"a\":}",
            "\"a",
            "\"\\",
            "[1 2]",
            "{} {}",
            "]",
            ":",
            "{1:2}",
            "\"\\ud800\"",
        ] {
            assert!(Node::read(bad).is_none(), "{bad:?}");
        }
    }
}
