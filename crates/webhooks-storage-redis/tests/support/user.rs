//! Users with the rights that the docs list.

use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand};

const DOCS: &str = include_str!("../../../../docs/storage-redis.md");

/// The rules of the access list in the docs, for a prefix; all but the password.
pub fn least_rights(prefix: &str) -> Vec<String> {
    let list = DOCS.split("ACL SETUSER webhooks").nth(1).unwrap();
    let list = list.split("```").next().unwrap();
    let words = list.split_whitespace().map(|word| word.trim_matches('\''));
    let rules = words.filter(|word| *word != "\\" && !word.starts_with('>'));
    rules
        .map(|rule| rule.replace("{webhooks:", &format!("{{{prefix}:")))
        .map(|rule| rule.replace("&webhooks:", &format!("&{prefix}:")))
        .collect()
}

/// Makes a user, or changes it, and tells the URL under which it comes.
pub async fn set_user(url: &str, name: &str, rules: &[impl AsRef<str>]) -> String {
    let admin = super::client(url).await;
    let mut args = vec!["SETUSER".to_owned(), name.to_owned(), ">secret".to_owned()];
    args.extend(rules.iter().map(|rule| rule.as_ref().to_owned()));
    acl(&admin, args).await;
    admin.quit().await.unwrap();
    url.replace("redis://", &format!("redis://{name}:secret@"))
}

pub async fn drop_user(url: &str, name: &str) {
    let admin = super::client(url).await;
    acl(&admin, vec!["DELUSER".into(), name.into()]).await;
    admin.quit().await.unwrap();
}

async fn acl(admin: &Client, args: Vec<String>) {
    let command = CustomCommand::new_static("ACL", ClusterHash::FirstKey, false);
    admin.custom::<Value, _>(command, args).await.unwrap();
}
