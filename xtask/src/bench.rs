//! `cargo xtask bench`: measures, on a private PostgreSQL and Redis and files of its own.

use std::fs;

use crate::install::TempFolder;
use crate::postgres::Postgres;
use crate::process::{self, Stop};
use crate::redis::Redis;
use crate::{Result, bench_pages};

/// What the last run found; of a run of all parts it also goes to `docs/`.
const RESULT: &str = "target/bench.json";

/// Runs the parts that the arguments name, or all, and then writes the pages in `docs/`. `micro`
/// times single steps instead, `pages` only writes the pages anew.
pub(crate) fn run(args: &[String]) -> Result {
    match args {
        [only] if only == "pages" => bench_pages::write(),
        [only, rest @ ..] if only == "micro" => micro(rest),
        parts => {
            measure(parts)?;
            if parts.is_empty() {
                fs::copy(RESULT, bench_pages::RESULT).map_err(|e| e.to_string())?;
                bench_pages::write()?;
            }
            Ok(())
        }
    }
}

fn measure(parts: &[String]) -> Result {
    let stop = Stop::on_signals()?;
    let build = ["bench", "-p", "webhooks-tests", "--bench", "system"];
    let mut building = process::cargo(build);
    building.arg("--no-run");
    stop.run(building)?;
    // Always private ones: some parts empty the database.
    let folder = TempFolder::new("bench")?;
    let postgres = Postgres::start(folder.path())?;
    let redis = Redis::start(folder.path(), &["--appendfsync", "everysec"])?;
    let sqlite = folder.path().join("sqlite");
    fs::create_dir(&sqlite).map_err(|e| e.to_string())?;
    let file = std::path::absolute(RESULT).map_err(|e| e.to_string())?;
    let mut command = process::cargo(build);
    command.args(["--", "--postgres", &postgres.url(), "--redis"]);
    command.args([&redis.url(), "--sqlite"]).arg(sqlite);
    command.arg("--json").arg(file).args(parts);
    stop.run(command)
}

fn micro(args: &[String]) -> Result {
    let mut command = process::cargo(["bench", "-p", "webhooks-micro", "--bench", "micro"]);
    command.arg("--").args(args);
    process::run(command)
}
