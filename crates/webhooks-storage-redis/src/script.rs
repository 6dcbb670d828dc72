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
                        "\n", include_str!("lua/events.lua"),
                        $("\n", include_str!(concat!("lua/", $file)),)+
                    ),)+
                }
            }
        }
    };
}

scripts! {
    Announce "announce.lua";
    Announced "announced.lua";
    Beat "beat.lua";
    CancelReplaced "cancel_replaced.lua";
    Change "scan.lua" "change.lua";
    Claim "claim.lua";
    ClaimKeys "key_ids.lua" "claim_keys.lua";
    Counts "counts.lua";
    DeleteEndpoint "delete_endpoint.lua";
    Deliveries "scan.lua" "deliveries.lua";
    Endpoints "endpoints.lua";
    Enqueue "fan_outs.lua" "key_ids.lua" "enqueue.lua";
    FanOut "fan_outs.lua" "fan_out.lua";
    EndFanOuts "fan_outs.lua" "scan.lua" "end_fan_outs.lua";
    ForgetRevisions "forget_revisions.lua";
    IdleFanOuts "idle_fan_outs.lua";
    KeepKeys "key_ids.lua" "keep_keys.lua";
    Revisions "revisions.lua";
    RevisionsOf "revisions_of.lua";
    Leased "leased.lua";
    RewriteDefinition "rewrite_definition.lua";
    SaveEndpoint "save_endpoint.lua";
    SetGates "set_gates.lua";
    Settle "settle.lua";
    Start "rights.lua" "start.lua";
    Sweep "sweep.lua";
    Unannounced "unannounced.lua";
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
