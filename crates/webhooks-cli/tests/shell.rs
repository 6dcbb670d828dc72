//! Completions and manual pages, as a shell and a packager take them.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use support::{Place, said};
use tokio::process::Command;

#[tokio::test]
async fn a_shell_completes_commands() {
    let place = Place::new();
    let script = place.run(&["completions", "bash"]).await.well().out;
    place.write("completions", &script);
    // What bash itself would offer behind `webhooks dead-letters `.
    let ask = "source completions; COMP_WORDS=(webhooks dead-letters ''); COMP_CWORD=2; \
        _webhooks webhooks '' dead-letters; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", ask]).current_dir(place.path());
    let offered = said(&mut bash).await.well().out;
    for command in ["list", "replay", "purge"] {
        assert!(offered.lines().any(|line| line == command), "{offered}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).await.well().out;
        assert!(script.contains("dead-letters"), "{shell}");
    }
    place.run(&["completions", "tcsh"]).await.fails(2, "tcsh");
}

#[tokio::test]
async fn each_command_has_its_manual_page() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("man")).unwrap();
    place.run(&["man", "man"]).await.well();
    let page = place.path().join("man/webhooks-dead-letters-replay.1");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(".TH") && page.contains("dry\\-run"), "{page}");
    place.run(&["man", "nowhere"]).await.fails(2, "nowhere");
    let version = place.run(&["version"]).await.well().out;
    assert_eq!(version, format!("webhooks {}\n", env!("CARGO_PKG_VERSION")));
}
