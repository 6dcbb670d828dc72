use std::sync::OnceLock;

macro_rules! scripts {
    ($($name:ident $($file:literal)+;)+) => {
        /// A Lua script: what all share, and then its own files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Script {
            $($name,)+
        }

        impl Script {
            const ALL: &[Self] = &[$(Self::$name,)+];

            pub(crate) const fn source(self) -> &'static str {
                match self {
                    $(Self::$name => concat!(
                        include_str!("lua/common.lua"),
                        "\n", include_str!("lua/places.lua"),
                        "\n", include_str!("lua/moves.lua"),
                        "\n", include_str!("lua/events.lua"),
                        $("\n", include_str!(concat!("lua/", $file)),)+
                    ),)+
                }
            }
        }
    };
}

impl Script {
    /// Whether what it stores is acknowledged: events with their deliveries, and outcomes.
    pub(crate) const fn acknowledges(self) -> bool {
        matches!(
            self,
            Self::DeliverEvents | Self::Enqueue | Self::FanOut | Self::Settle
        )
    }
}

scripts! {
    AddStats "stats.lua" "add_stats.lua";
    Announce "announce.lua";
    Announced "announced.lua";
    Beat "beat.lua";
    CancelReplaced "cancel_replaced.lua";
    Change "filter.lua" "scan.lua" "changes.lua" "change.lua";
    Claim "claim.lua";
    ClaimKeys "key_ids.lua" "claim_keys.lua";
    CountBy "filter.lua" "scan.lua" "count_by.lua";
    Counts "counts.lua";
    Definitions "definitions.lua";
    DeleteDocument "documents.lua" "delete_document.lua";
    DeleteEndpoint "delete_endpoint.lua";
    DeliverEvents "make.lua" "deliver_events.lua";
    Deliveries "filter.lua" "scan.lua" "deliveries.lua";
    EmptyEvents "empty_events.lua";
    EndFanOuts "fan_outs.lua" "filter.lua" "scan.lua" "end_fan_outs.lua";
    Endpoints "endpoints.lua";
    Enqueue "fan_outs.lua" "key_ids.lua" "make.lua" "enqueue.lua";
    EraseEvents "filter.lua" "scan.lua" "changes.lua" "erase_events.lua";
    Events "filter.lua" "list_events.lua";
    EventStates "event_states.lua";
    EventTexts "event_texts.lua";
    FanOut "fan_outs.lua" "fan_out.lua";
    ForgetRevisions "forget_revisions.lua";
    GetDocument "documents.lua" "get_document.lua";
    IdleFanOuts "idle_fan_outs.lua";
    KeepKeys "key_ids.lua" "keep_keys.lua";
    Leased "leased.lua";
    ListDocuments "documents.lua" "list_documents.lua";
    OldestReady "oldest_ready.lua";
    NoteErased "note_erased.lua";
    PutDocument "documents.lua" "put_document.lua";
    ReadStats "stats.lua" "read_stats.lua";
    Revisions "revisions.lua";
    RevisionsOf "revisions_of.lua";
    RewriteDefinition "rewrite_definition.lua";
    SaveEndpoint "save_endpoint.lua";
    SetGates "set_gates.lua";
    Settle "settle.lua";
    Start "rights.lua" "start.lua";
    Sweep "documents.lua" "sweep.lua";
    Unannounced "unannounced.lua";
    Workers "workers.lua";
}

/// The hashes of the scripts, as the server told them.
#[derive(Debug)]
pub(crate) struct Scripts(Vec<OnceLock<String>>);

impl Scripts {
    pub(crate) fn new() -> Self {
        Self(Script::ALL.iter().map(|_| OnceLock::new()).collect())
    }

    pub(crate) fn hash(&self, script: Script) -> Option<&str> {
        let hash = self.0.get(script as usize)?;
        hash.get().map(String::as_str)
    }

    pub(crate) fn keep_hash(&self, script: Script, hash: String) {
        if let Some(kept) = self.0.get(script as usize) {
            kept.get_or_init(|| hash);
        }
    }
}
