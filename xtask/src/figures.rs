//! `cargo xtask figures`: how long files and functions of the library crates are, how much of their
//! lines explains the rest, and the bounds that these keep.
//!
//! Tests are left out: what stands under `#[cfg(test)]`, and all folders but `src`.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{Result, files, workspace};

/// No file is longer, in lines.
const LONGEST_FILE: usize = 500;
/// Nine files of ten are shorter.
const NINTH_FILE: usize = 350;
/// What a function may be long before it counts as a long one.
const LONG_FUNCTION: usize = 50;
/// Long functions, in per cent of all.
const LONG_FUNCTIONS: f64 = 0.5;
/// Lines of docs and comments at least, in per cent of those that are not blank.
const EXPLAINED: f64 = 20.0;

/// What a file holds, tests aside.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    lines: usize,
    blank: usize,
    docs: usize,
    comments: usize,
    /// The lines of each function, from its name to its end.
    functions: Vec<usize>,
}

/// Prints the figures and checks the bounds.
pub(crate) fn run() -> Result {
    let root = workspace::root()?;
    let mut files = Vec::new();
    let texts = files::rust_texts(&root.join("crates"))?;
    let tests: Vec<PathBuf> = texts
        .iter()
        .flat_map(|(p, text)| test_modules(p, text))
        .collect();
    let of_tests = |path: &Path| tests.iter().any(|tests| path.starts_with(tests));
    for (path, text) in texts {
        if of_tests(&path) || of_tests(&path.with_extension("")) {
            continue;
        }
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let name = name.display().to_string();
        if name.split('/').nth(2) == Some("src") {
            let figures = figures(&text).map_err(|e| format!("{name}: {e}"))?;
            files.push((name, figures));
        }
    }
    files.sort_by_key(|(_, file)| file.lines);
    let broken = tell(&files);
    if broken.is_empty() {
        return Ok(());
    }
    Err(broken.join("\n"))
}

/// The modules of a file that only tests compile, each as its folder.
fn test_modules<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let is_root = path.file_name().is_some_and(|name| name == "lib.rs");
    let folder = match path.parent() {
        Some(parent) if is_root => parent.to_path_buf(),
        _ => path.with_extension(""),
    };
    let lines = text.lines().zip(text.lines().skip(1));
    let after_mark = lines.filter(|(mark, _)| *mark == "#[cfg(test)]");
    let names = after_mark.filter_map(|(_, line)| line.strip_prefix("mod ")?.strip_suffix(';'));
    names.map(move |name| folder.join(name))
}

/// Prints the figures of all files, which are sorted by their length; answers the bounds that do not
/// hold.
fn tell(files: &[(String, Figures)]) -> Vec<String> {
    let lengths: Vec<usize> = files.iter().map(|(_, file)| file.lines).collect();
    let functions = files.iter().flat_map(|(_, file)| &file.functions);
    let mut functions: Vec<usize> = functions.copied().collect();
    functions.sort_unstable();
    let long = functions.iter().filter(|lines| **lines > LONG_FUNCTION);
    let long = percent(long.count(), functions.len());
    let sum = |of: fn(&Figures) -> usize| files.iter().map(|(_, file)| of(file)).sum::<usize>();
    let filled = sum(|file| file.lines - file.blank);
    let docs = percent(sum(|file| file.docs), filled);
    let comments = percent(sum(|file| file.comments), filled);
    let ninth = at(&lengths, 0.9);
    println!("files      {:>6}", files.len());
    println!(
        "  lines    {:>6} median, {ninth} of nine in ten, {} of the longest",
        at(&lengths, 0.5),
        at(&lengths, 1.0)
    );
    println!("functions  {:>6}", functions.len());
    println!(
        "  lines    {:>6} median, {} of nine in ten, {} of the longest",
        at(&functions, 0.5),
        at(&functions, 0.9),
        at(&functions, 1.0)
    );
    println!("  long     {long:>6.2} % have more than {LONG_FUNCTION} lines");
    println!("lines      {filled:>6} that are not blank");
    println!("  docs     {docs:>6.2} %");
    println!("  comments {comments:>6.2} %");
    let explained = docs + comments;
    let too_long = files.iter().filter(|(_, file)| file.lines > LONGEST_FILE);
    let mut broken: Vec<String> = too_long
        .map(|(name, file)| format!("{name} has {} lines, at most {LONGEST_FILE}", file.lines))
        .collect();
    if ninth >= NINTH_FILE {
        broken.push(format!(
            "one file in ten has {ninth} lines or more, at most {NINTH_FILE}"
        ));
    }
    if long >= LONG_FUNCTIONS {
        broken.push(format!(
            "{long:.2} % of functions are long, less than {LONG_FUNCTIONS} % may be"
        ));
    }
    if explained < EXPLAINED {
        broken.push(format!(
            "{explained:.2} % of lines are docs and comments, at least {EXPLAINED} %"
        ));
    }
    broken
}

/// The number below which so many of the sorted numbers are.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a length is one"
)]
fn at(sorted: &[usize], part: f64) -> usize {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn figures(text: &str) -> Result<Figures> {
    let tokens: TokenStream = text.parse().map_err(|e| format!("{e}"))?;
    let mut figures = Figures::default();
    // Lines of tests are taken out of the text, and so count nowhere.
    let mut lines: Vec<Option<&str>> = text.lines().map(Some).collect();
    walk(tokens, &mut figures, &mut |first, last| {
        for line in lines.iter_mut().take(last).skip(first - 1) {
            *line = None;
        }
    });
    for line in lines.into_iter().flatten().map(str::trim_start) {
        figures.lines += 1;
        match line {
            "" => figures.blank += 1,
            line if line.starts_with("///") || line.starts_with("//!") => figures.docs += 1,
            line if line.starts_with("//") => figures.comments += 1,
            _ => {}
        }
    }
    Ok(figures)
}

/// Counts functions, and tells the first and last line of what is under `#[cfg(test)]`.
fn walk(tokens: TokenStream, figures: &mut Figures, test: &mut dyn FnMut(usize, usize)) {
    let mut tokens = tokens.into_iter().peekable();
    // The line of a `#[cfg(test)]` whose item is to come, and of the function whose body is.
    let (mut tests_from, mut function_from) = (None, None);
    let mut before = String::new();
    while let Some(token) = tokens.next() {
        let line = token.span().start().line;
        let mut ends = None;
        match &token {
            TokenTree::Group(group) => {
                let is_body = group.delimiter() == Delimiter::Brace;
                let is_attribute = before == "#" && group.delimiter() == Delimiter::Bracket;
                if is_attribute && group.stream().to_string().replace(' ', "") == "cfg(test)" {
                    tests_from = tests_from.or(Some(line));
                } else if tests_from.is_none() {
                    walk(group.stream(), figures, test);
                }
                ends = is_body.then(|| group.span_close().end().line);
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => ends = Some(line),
            TokenTree::Ident(ident) if ident == "fn" => {
                let is_named = matches!(tokens.peek(), Some(TokenTree::Ident(_)));
                function_from = is_named.then_some(line).or(function_from);
            }
            _ => {}
        }
        if let Some(end) = ends {
            let is_declared = token.to_string() == ";";
            let function = function_from.take().filter(|_| !is_declared);
            match tests_from.take() {
                Some(from) => test(from, end),
                None => figures
                    .functions
                    .extend(function.map(|from| end + 1 - from)),
            }
        }
        before = token.to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_count_nowhere() {
        let text = "\
            //! Docs.\n\
            \n\
            /// Docs.\n\
            pub fn long() -> u8 {\n\
            // A comment.\n\
            let text = \"fn no() {}\";\n\
            1\n\
            }\n\
            trait T { fn declared(&self); fn short(&self) {} }\n\
            #[cfg(test)]\n\
            mod tests {\n\
            // Another.\n\
            fn a_test() {}\n\
            }\n";
        let expected = Figures {
            lines: 9,
            blank: 1,
            docs: 2,
            comments: 1,
            functions: vec![5, 1],
        };
        let mut found = figures(text).unwrap();
        found.functions.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bound_that_does_not_hold_is_named() {
        let file = |lines| Figures {
            lines,
            docs: lines,
            ..Figures::default()
        };
        assert_eq!(tell(&[("a.rs".into(), file(10))]), Vec::<String>::new());
        let broken = tell(&[("b.rs".into(), file(501))]);
        assert_eq!(
            broken.first().map(String::as_str),
            Some("b.rs has 501 lines, at most 500")
        );
    }
}
