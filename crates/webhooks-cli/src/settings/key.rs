//! Where the key comes from.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use webhooks_core::Secret;

use crate::failure::Failure;

/// The longest key that is taken from a file or a program, in bytes.
const MAX_KEY: usize = 4 << 10;

/// The key in a file.
pub(super) fn of_file(path: &Path) -> Result<Secret, Failure> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    checked(&text).map_err(|failure| failure.about(path.display()))
}

/// The key that a program prints. It may ask the person who runs it.
pub(super) async fn of_program(words: &[String]) -> Result<Secret, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::usage("key_command has no program"));
    };
    let run = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn();
    let run = run.map_err(|error| Failure::usage(format!("key_command {program:?}: {error}")))?;
    let output = run.wait_with_output().await;
    let output =
        output.map_err(|error| Failure::usage(format!("key_command {program:?}: {error}")))?;
    if !output.status.success() {
        let text = format!("key_command {program:?} ended with {}", output.status);
        return Err(Failure::usage(text));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    checked(&text).map_err(|failure| failure.about(format!("key_command {program:?}")))
}

/// A key, without what is around it.
fn checked(text: &str) -> Result<Secret, Failure> {
    let text = text.trim();
    let length = text.len();
    if (1..=MAX_KEY).contains(&length) && !text.contains(char::is_control) {
        return Ok(Secret::from(text.to_owned()));
    }
    let text = format!("a key has 1 to {MAX_KEY} bytes on one line, this has {length}");
    Err(Failure::usage(text))
}
