//! Credentials that are written anew by whoever encrypts them around a storage.

use webhooks_core::WebhookEndpoint;
use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::GateChange;

use crate::bench::{Bench, endpoint};

/// Keys are changed underneath: the credentials are written anew in another form, and nobody sees a
/// change, or every node would read all endpoints again.
pub(crate) async fn credentials_are_rewritten_unseen(t: &Bench) {
    if !t.capabilities.rewrites_credentials {
        return;
    }
    let mut stored = endpoint("a");
    stored.headers = [("authorization".into(), "Bearer old".into())].into();
    t.storage.save_endpoint(&stored).await.unwrap();
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    let before = t.record("a").await;
    let mut anew = stored.clone();
    anew.secret = "in another form".into();
    anew.headers = [("authorization".into(), "Bearer new".into())].into();
    anew.url = "https://example.org/not-this".into();
    let rewrite = async |stored: &WebhookEndpoint| {
        let rewritten = t.storage.rewrite_credentials(stored, &anew).await;
        rewritten.unwrap()
    };
    for other in [
        |e: &mut WebhookEndpoint| e.secret = "another".into(),
        |e: &mut WebhookEndpoint| e.headers.clear(),
        |e: &mut WebhookEndpoint| e.id = "nobody".into(),
    ] {
        let mut changed = stored.clone();
        other(&mut changed);
        assert!(!rewrite(&changed).await, "something else is there");
    }
    assert!(rewrite(&stored).await);
    assert!(!rewrite(&stored).await, "it is not there any more");
    let after = t.record("a").await;
    assert_eq!(after.endpoint.secret, anew.secret);
    assert_eq!(after.endpoint.headers, anew.headers);
    assert_eq!(after.endpoint.url, stored.url);
    assert_eq!(after.revision, before.revision);
    assert_eq!(after.definition_revision, before.definition_revision);
    assert_eq!(after.gate, before.gate);
    t.delete("a", t.at(0)).await;
    assert!(!rewrite(&anew).await, "it was deleted");
}
