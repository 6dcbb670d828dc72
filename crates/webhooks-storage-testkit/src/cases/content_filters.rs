//! Filters of endpoints: a storage keeps them, and looks at none.

use webhooks_core::ContentFilter;

use crate::bench::{Bench, endpoint};

/// Numbers that a storage may write in another way, an escape that some refuse, and keys in no order.
pub(super) const FILTER: &str = r#"{"data":{"z":{"$gte":-0.1,"$lt":1.5e20},"a":[18446744073709551615,100.0,-0.0],
    "n":{"$in":["it's \"\u0000\\\u00fc",null,true,-9223372036854775808]}}}"#;

pub(super) fn filter(json: &str) -> ContentFilter {
    serde_json::from_str(json).unwrap()
}

/// What passes a filter follows from its numbers and keys. One that a later version has stored must
/// not cost the definition, or all the others behind it: it comes back as it is.
pub(crate) async fn a_filter_is_read_back_as_it_was_saved(t: &Bench) {
    let later = r#"{"data":{"a":{"$like":"b%"}},"what":[[1]]}"#;
    for saved in [Some(FILTER), Some(later), Some("{}"), None] {
        let mut changed = endpoint("a");
        changed.filter = saved.map(filter);
        t.storage.save_endpoint(&changed).await.unwrap();
        let read = t.storage.get_endpoint("a").await.unwrap().unwrap();
        let (is, was) = (&read.filter, &changed.filter);
        assert_eq!(is, was);
        let text = |filter: &Option<ContentFilter>| filter.as_ref().map(ToString::to_string);
        assert_eq!(text(is), text(was));
        let is_valid = |filter: &ContentFilter| filter.validate().is_ok();
        assert_eq!(is.as_ref().map(is_valid), saved.map(|saved| saved != later));
        assert_eq!(t.record("a").await.endpoint.filter, changed.filter);
    }
}
