//! What a user of Redis without all rights meets: at connecting an error that names what is missing,
//! and never a refusal of what was done.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::time::Duration;

use fred::interfaces::LuaInterface;
use fred::types::Value;
use support::user::{drop_user, least_rights, set_user};
use support::work::{claim, endpoint, event, now};
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{DeliveryQuery, WebhookStorage};
use webhooks_core::{Result, WebhookError, WorkerId};
use webhooks_storage_redis::{DurabilityWarning, RedisStorage};

async fn connect(url: &str, prefix: &str) -> Result<RedisStorage> {
    let builder = RedisStorage::builder(support::pool(url)).key_prefix(prefix);
    let connected = tokio::time::timeout(Duration::from_secs(10), builder.connect());
    connected.await.expect("connecting ends")
}

/// What is missing of a user with these rules besides the least ones, as `connect` says it.
async fn missing_with(prefix: &str, rules: &[&str]) -> String {
    let (url, name) = (support::url(), format!("user-{prefix}"));
    let mut all = least_rights(prefix);
    all.extend(rules.iter().map(|rule| (*rule).to_owned()));
    let user = set_user(&url, &name, &all).await;
    let refused = connect(&user, prefix).await;
    drop_user(&url, &name).await;
    support::drop_keys(&url, prefix).await;
    match refused {
        Err(error @ WebhookError::InvalidConfig(_)) => error.to_string(),
        other => panic!("without {rules:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_user_without_channels_is_told_at_connecting() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &["on", "~*", "+@all", "resetchannels"]).await;
    let refused = connect(&user, &prefix).await.unwrap_err();
    assert!(matches!(refused, WebhookError::InvalidConfig(_)));
    let text = refused.to_string();
    assert!(text.contains(&format!(" &{prefix}:wake ")), "{text}");
    assert!(text.contains("storage-redis.md"), "{text}");
    drop_user(&url, &prefix).await;
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn every_right_of_the_list_is_needed_and_is_named_where_it_is_missing() {
    let prefix = support::prefix();
    let all = least_rights(&prefix);
    let commands: Vec<_> = all.iter().filter(|rule| rule.starts_with('+')).collect();
    assert!(commands.len() > 40, "{commands:?}");
    for rule in commands {
        let without = rule.replacen('+', "-", 1);
        let text = missing_with(&prefix, &[&without]).await;
        assert!(
            text.contains(&format!(" {rule} ")),
            "without {rule}: {text}"
        );
    }
    let text = missing_with(&prefix, &["-hset", "-zadd"]).await;
    assert!(text.contains("+hset") && text.contains("+zadd"), "{text}");
    let text = missing_with(&prefix, &["resetkeys", "~{other:*"]).await;
    assert!(text.contains(&format!("~{{{prefix}:*")), "{text}");
}

#[tokio::test]
async fn what_the_server_may_not_tell_is_a_warning() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &least_rights(&prefix)).await;
    let storage = connect(&user, &prefix).await.unwrap();
    assert_eq!(storage.durability_warnings(), [DurabilityWarning::Unknown]);
    set_user(&url, &prefix, &["+info", "+config|get"]).await;
    let told = connect(&user, &prefix).await.unwrap();
    let whole = support::storage(&url, &prefix, 1).await;
    assert_eq!(told.durability_warnings(), whole.durability_warnings());
    drop_user(&url, &prefix).await;
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn a_wake_up_that_is_refused_refuses_no_event() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &least_rights(&prefix)).await;
    let storage = connect(&user, &prefix).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    set_user(&url, &prefix, &["resetchannels", "-publish"]).await;
    let at = now(&storage).await;
    let mut sent = Vec::new();
    for n in 0..20 {
        let due_at = at.after(Duration::from_secs(20 - n));
        let delayed = NewEvent {
            due_at,
            ..event(&["a"], at)
        };
        sent.push(delayed.deliveries[0].id);
        storage.enqueue(&[delayed], None, at).await.unwrap();
    }
    let listed = storage.deliveries(&DeliveryQuery::default()).await.unwrap();
    let mut listed: Vec<_> = listed.items.iter().map(|item| item.delivery.id).collect();
    listed.sort();
    sent.sort();
    assert_eq!(listed, sent);
    drop_user(&url, &prefix).await;
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_later_leaves_the_outcome_unknown() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &least_rights(&prefix)).await;
    let storage = connect(&user, &prefix).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let at = now(&storage).await;
    for command in ["mset", "zadd", "hset", "hincrby"] {
        set_user(&url, &prefix, &[format!("-{command}")]).await;
        let refused = storage.enqueue(&[event(&["a"], at)], None, at).await;
        let refused = refused.unwrap_err();
        assert!(refused.outcome_unknown(), "{command}: {refused:?}");
        set_user(&url, &prefix, &[format!("+{command}")]).await;
    }
    drop_user(&url, &prefix).await;
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn dead_workers_are_found_though_the_server_does_not_tell_when_it_started() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &least_rights(&prefix)).await;
    let storage = connect(&user, &prefix).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let (dead, living) = (WorkerId::named("dead"), WorkerId::named("living"));
    storage.beat(Some(&dead), None).await.unwrap();
    let at = now(&storage).await;
    let sent = [event(&["a"], at)];
    storage.enqueue(&sent, None, at).await.unwrap();
    storage.claim(&claim(&dead, at, 1)).await.unwrap();
    // As if it had beaten last 20 s ago, and nobody since.
    let admin = support::client(&url).await;
    let silent = "redis.call('ZADD', KEYS[1] .. ':workers', ARGV[1], 'dead')
        redis.call('HSET', KEYS[1] .. ':alive', 'seen', ARGV[1])";
    let before = at.before(Duration::from_secs(20)).as_millis();
    let base = format!("{{{prefix}:0}}");
    let run = async |script: &'static str| {
        let args = vec![before.to_string()];
        let ran: Value = admin.eval(script, base.as_str(), args).await.unwrap();
        drop(ran);
    };
    run(silent).await;
    for _ in 0..3 {
        let beat = storage.beat(Some(&living), None).await.unwrap();
        assert_eq!(beat.rescued, 0, "the server may have been away");
    }
    run("redis.call('HSET', KEYS[1] .. ':alive', 'since', ARGV[1])").await;
    let beat = storage.beat(Some(&living), None).await.unwrap();
    assert_eq!(beat.rescued, 1);
    drop_user(&url, &prefix).await;
    support::drop_keys(&url, &prefix).await;
}
