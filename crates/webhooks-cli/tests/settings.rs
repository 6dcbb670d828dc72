//! What counts: flags, the environment, a file.
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

/// What must not be told.
const MARKER: &str = "marker-that-nobody-must-see";

#[tokio::test]
async fn an_unknown_key_is_refused_with_its_place() {
    let place = Place::new();
    let file = format!("# ours\n[profiles.a]\nserver = \"http://h\"\n  kee = \"{MARKER}\"\n");
    place.write("webhooks.toml", &file);
    let refused = place.run(&["info"]).await;
    let refused = refused.fails(2, "webhooks.toml:4:3: unknown field `kee`");
    assert!(!format!("{refused:?}").contains(MARKER), "{refused:?}");
    place.write("other.toml", "[serve]\nlisten = \"here\"\n");
    let refused = place.run(&["serve", "--config", "other.toml"]).await;
    refused.fails(2, "other.toml:2:10: ");
    place
        .run(&["info", "--config", "none.toml"])
        .await
        .fails(2, "none.toml");
    place
        .run(&["info", "--config", "other.toml", "--profile", "x"])
        .await
        .fails(2, "other.toml");
}

#[tokio::test]
async fn flags_count_before_the_environment_and_that_before_the_file() {
    let place = Place::new();
    let file = "profile = \"a\"\n[profiles.a]\nserver = \"http://127.0.0.1:1\"\n\
                [profiles.b]\nserver = \"http://127.0.0.1:2\"\n";
    place.write("webhooks.toml", file);
    let asked = async |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = place.command();
        command
            .arg("info")
            .args(arguments)
            .envs(environment.iter().copied());
        said(&mut command).await
    };
    let server = ("WEBHOOKS_SERVER", "http://127.0.0.1:3");
    asked(&[], &[]).await.fails(6, "127.0.0.1:1 ");
    asked(&[], &[("WEBHOOKS_PROFILE", "b")])
        .await
        .fails(6, "127.0.0.1:2 ");
    asked(&[], &[server]).await.fails(6, "127.0.0.1:3 ");
    asked(&["--profile", "b"], &[server])
        .await
        .fails(6, "127.0.0.1:2 ");
    asked(&["--server", "http://127.0.0.1:4"], &[server])
        .await
        .fails(6, "127.0.0.1:4 ");
    asked(&["--storage", "memory:"], &[server]).await.well();
    let both = [server, ("WEBHOOKS_STORAGE", "memory:")];
    asked(&[], &both).await.fails(2, "both set");
    asked(&["--profile", "c"], &[])
        .await
        .fails(2, "no profile \"c\"");
}

#[tokio::test]
async fn what_serve_starts_with_is_told_without_secrets() {
    let place = Place::new();
    let file = format!(
        "[serve]\nlisten = \"127.0.0.1:1\"\nstorage = \"postgres://u:{MARKER}@h/d?schema=s\"\n\
         network = \"permissive\"\nworkers = 3\n"
    );
    place.write("webhooks.toml", &file);
    let mut command = place.command();
    command.args(["serve", "--print-config", "--listen", "127.0.0.1:2"]);
    command
        .env("WEBHOOKS_ROOT_KEY", MARKER)
        .env("WEBHOOKS_WORKERS", "4");
    let told = said(&mut command).await.well();
    for line in [
        "listen = \"127.0.0.1:2\"",
        "storage = \"postgres://u:<set>@h/d?schema=s\"",
        "network = \"permissive\"",
        "workers = 4",
        "# WEBHOOKS_ROOT_KEY = <set>",
    ] {
        assert!(
            told.out.lines().any(|told| told == line),
            "{line}: {told:?}"
        );
    }
    assert!(!format!("{told:?}").contains(MARKER), "{told:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_where_it_is_safe() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let served = place.serve().await;
    let (key, url) = (support::KEY, served.url.as_str());
    let own = format!("[profiles.a]\nserver = \"{url}\"\nkey = \"{key}\"\n");
    place.write("own.toml", &own);
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    let path = place.path().join("own.toml");
    std::fs::set_permissions(&path, mode(0o644)).unwrap();
    let me = ["info", "--me", "--config", "own.toml", "--profile", "a"];
    let refused = place.run(&me).await.fails(2, "0600");
    assert!(!format!("{refused:?}").contains(key), "{refused:?}");
    std::fs::set_permissions(&path, mode(0o600)).unwrap();
    assert!(place.run(&me).await.well().out.contains("actor\troot"));

    let program =
        format!("[profiles.a]\nserver = \"{url}\"\nkey_command = [\"echo\", \"{key}\"]\n");
    place.write("own.toml", &program);
    assert!(place.run(&me).await.well().out.contains("actor\troot"));
    // Whoever gives a folder away must not have programs run by who works in it.
    place.write("webhooks.toml", &program);
    place
        .run(&["info", "--me", "--profile", "a"])
        .await
        .fails(2, "key_command");
    place.write("own.toml", &program.replace("echo", "false"));
    place.run(&me).await.fails(2, "\"false\" ended with");
    place.write("key", &format!("{key}\n"));
    let file = [
        "info",
        "--me",
        "--server",
        url,
        "--key-file",
        "key",
        "--config",
        "own.toml",
    ];
    assert!(place.run(&file).await.well().out.contains("actor\troot"));
}
