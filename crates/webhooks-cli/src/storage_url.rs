//! Which storage: one word of a command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// Where everything is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum StorageUrl {
    /// `memory:`, for as long as the process lives.
    Memory,
    /// `sqlite:PATH`, a file.
    Sqlite(PathBuf),
    /// `postgres://..`, with `?schema=` for another schema than the default.
    Postgres {
        /// Without `schema`, as drivers take it.
        url: String,
        schema: Option<String>,
    },
    /// `redis://..` or `rediss://..`, with `?prefix=` for another prefix of keys than the default.
    Redis {
        /// Without `prefix`, as the driver takes it.
        url: String,
        prefix: Option<String>,
    },
}

impl StorageUrl {
    /// The kind, for labels and logs.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres { .. } => "postgres",
            Self::Redis { .. } => "redis",
        }
    }

    /// As it was written, with `<set>` in place of passwords.
    pub(crate) fn without_secrets(&self) -> String {
        let (url, name, value) = match self {
            Self::Memory => return "memory:".into(),
            Self::Sqlite(path) => return format!("sqlite:{}", path.display()),
            Self::Postgres { url, schema } => (url, "schema", schema),
            Self::Redis { url, prefix } => (url, "prefix", prefix),
        };
        let Ok(mut url) = Url::parse(url) else {
            return format!("{self:?}");
        };
        let had_password = url.password().is_some() && url.set_password(None).is_ok();
        let user = url.username().to_owned();
        // Others than these can hold passwords, too.
        let has_more = url.query().is_some();
        url.set_query(None);
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut text = String::from(url);
        if had_password {
            let at = format!("//{user}@");
            let with = format!("//{user}:<set>@");
            text = match user.is_empty() {
                true => text.replacen("//", &with, 1),
                false => text.replacen(&at, &with, 1),
            };
        }
        if has_more {
            text.push_str(if value.is_some() { "&<set>" } else { "?<set>" });
        }
        text
    }
}

impl FromStr for StorageUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return match path {
                "" => Err("sqlite: needs a path, as in sqlite:webhooks.db".into()),
                path => Ok(Self::Sqlite(path.into())),
            };
        }
        // The parser's own message would quote the URL, which may hold a password.
        let url = Url::parse(text).map_err(|_| expected())?;
        match url.scheme() {
            "postgres" | "postgresql" => {
                let (url, schema) = take(url, "schema");
                Ok(Self::Postgres { url, schema })
            }
            "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => {
                let (url, prefix) = take(url, "prefix");
                Ok(Self::Redis { url, prefix })
            }
            _ => Err(expected()),
        }
    }
}

/// What is said of a URL that names no storage; not the URL itself.
fn expected() -> String {
    "a storage is memory:, sqlite:PATH, postgres://.., or redis://..".into()
}

/// Takes a parameter out of a URL.
fn take(mut url: Url, name: &str) -> (String, Option<String>) {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = pairs.iter().find(|(of, _)| of == name);
    let value = value.map(|(_, value)| value.clone());
    let rest: Vec<_> = pairs.into_iter().filter(|(of, _)| of != name).collect();
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    (url.into(), value)
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold a password.
        write!(f, "{}:..", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_storage() {
        let parse = |text: &str| text.parse::<StorageUrl>();
        assert_eq!(parse("memory:"), Ok(StorageUrl::Memory));
        assert_eq!(
            parse("sqlite:a b.db"),
            Ok(StorageUrl::Sqlite("a b.db".into()))
        );
        let postgres = StorageUrl::Postgres {
            url: "postgres://u:p@h/d?sslmode=require".into(),
            schema: Some("hooks".into()),
        };
        let text = "postgres://u:p@h/d?sslmode=require&schema=hooks";
        assert_eq!(parse(text), Ok(postgres));
        let redis = StorageUrl::Redis {
            url: "redis://h:6379/1".into(),
            prefix: None,
        };
        assert_eq!(parse("redis://h:6379/1"), Ok(redis));
        for text in ["", "memory", "sqlite:", "mysql://h", "http://u:secret@h"] {
            let refused = parse(text).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
        assert!(!format!("{:?}", parse("redis://:secret@h").unwrap()).contains("secret"));
    }
}
