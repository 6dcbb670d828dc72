//! Who answers the requests of a command.
//!
//! A key never goes where it was not meant for: one of a profile to the server of that profile alone, and one
//! of the environment to what the environment, a flag or the chosen profile names.

use std::path::PathBuf;

use url::Url;
use webhooks_core::Secret;

use super::file::{File, Profile};
use super::global::{GlobalArgs, Network};
use super::key;
use crate::failure::Failure;
use crate::storage_url::StorageUrl;

/// Where `serve` listens if nobody says otherwise.
const DEFAULT: &str = "http://127.0.0.1:8700";

/// A server, or a storage.
#[derive(Debug)]
pub(crate) enum Target {
    /// A server, and the key for it.
    Server { url: Url, key: Option<Secret> },
    /// A storage that this process opens.
    Storage { url: StorageUrl, network: Network },
}

/// Where, and which key goes there.
struct Place {
    /// A server, or the next is set; with neither it is the server of this machine.
    server: Option<Url>,
    /// A storage to be opened.
    storage: Option<StorageUrl>,
    /// The profile that says so, if one does.
    profile: Option<Profile>,
}

impl Target {
    /// What the flags, the environment and the file say together.
    ///
    /// A profile that is asked for by a flag counts before the environment. The key of a profile goes to the
    /// server of that profile alone.
    pub(crate) async fn of(global: &GlobalArgs) -> Result<Self, Failure> {
        let place = match at(global.server.clone(), global.storage.clone()) {
            Some(place) => place,
            None => elsewhere(global)?,
        };
        let profile = place.profile.unwrap_or_default();
        if let Some(url) = place.storage {
            let network = global.network.or(profile.network);
            let network = network.unwrap_or(Network::Strict);
            return Ok(Self::Storage { url, network });
        }
        let url = match place.server {
            Some(url) => url,
            None => server(DEFAULT)?,
        };
        let key = key(global, profile).await?;
        Ok(Self::Server { url, key })
    }
}

/// A place, if one is said.
fn at(server: Option<Url>, storage: Option<StorageUrl>) -> Option<Place> {
    (server.is_some() || storage.is_some()).then_some(Place {
        server,
        storage,
        profile: None,
    })
}

/// The place of a profile, the environment, or the file.
fn elsewhere(global: &GlobalArgs) -> Result<Place, Failure> {
    let file = File::read(global.config.as_deref())?;
    if let Some(name) = &global.profile {
        return of_profile(&file, name);
    }
    let (server_text, storage_text) = (env("WEBHOOKS_SERVER"), env("WEBHOOKS_STORAGE"));
    if server_text.is_some() && storage_text.is_some() {
        let text = "WEBHOOKS_SERVER and WEBHOOKS_STORAGE are both set: say --server or --storage";
        return Err(Failure::usage(text));
    }
    let storage = storage_text.map(|text| {
        let read = text.parse::<StorageUrl>();
        read.map_err(|error| Failure::usage(format!("WEBHOOKS_STORAGE: {error}")))
    });
    let server =
        server_text.map(|text| server(&text).map_err(|failure| failure.about("WEBHOOKS_SERVER")));
    if let Some(place) = at(server.transpose()?, storage.transpose()?) {
        return Ok(place);
    }
    match env("WEBHOOKS_PROFILE").or_else(|| file.profile.clone()) {
        Some(name) => of_profile(&file, &name),
        None => Ok(Place {
            server: None,
            storage: None,
            profile: None,
        }),
    }
}

/// The place of the profile with this name.
fn of_profile(file: &File, name: &str) -> Result<Place, Failure> {
    let path = file.path.display();
    let Some(profile) = file.profiles.get(name) else {
        let text = match file.path.as_os_str().is_empty() {
            true => format!("there is no file with the profile {name:?}"),
            false => format!("{path} has no profile {name:?}"),
        };
        return Err(Failure::usage(text));
    };
    let about = |failure: Failure| failure.about(format!("{path}: the profile {name:?}"));
    if profile.server.is_some() == profile.storage.is_some() {
        return Err(about(Failure::usage(
            "it needs a server or a storage, and not both",
        )));
    }
    if profile.key.is_some() && profile.key_command.is_some() {
        return Err(about(Failure::usage("it has a key and a key_command")));
    }
    Ok(Place {
        server: profile
            .server
            .as_deref()
            .map(server)
            .transpose()
            .map_err(about)?,
        storage: profile.storage.clone(),
        profile: Some(profile.clone()),
    })
}

/// The key for the server. A profile has its own, and that of a flag counts before any other.
async fn key(global: &GlobalArgs, profile: Profile) -> Result<Option<Secret>, Failure> {
    if let Some(key) = &global.key {
        return Ok(Some(key.clone()));
    }
    if let Some(path) = &global.key_file {
        return key::of_file(path).map(Some);
    }
    let of_profile = async {
        match (profile.key, &profile.key_command) {
            (Some(key), _) => Ok(Some(key)),
            (None, Some(words)) => key::of_program(words).await.map(Some),
            (None, None) => Ok(None),
        }
    };
    if global.profile.is_some() {
        return match of_profile.await? {
            Some(key) => Ok(Some(key)),
            None => of_environment(),
        };
    }
    match of_environment()? {
        Some(key) => Ok(Some(key)),
        None => of_profile.await,
    }
}

/// The key in the environment.
fn of_environment() -> Result<Option<Secret>, Failure> {
    if let Some(text) = env("WEBHOOKS_KEY") {
        return Ok(Some(Secret::from(text)));
    }
    let file = env("WEBHOOKS_KEY_FILE").map(PathBuf::from);
    file.map(|path| key::of_file(&path)).transpose()
}

/// The address of a server.
fn server(text: &str) -> Result<Url, Failure> {
    // The parser's own message would quote the URL, which may hold a password.
    Url::parse(text).map_err(|_| Failure::usage("a server is http://.. or https://.."))
}

/// A variable that is set, and not empty.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
