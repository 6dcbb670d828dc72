use webhooks_core::storage::spi::{Fingerprint, NewEvent};

/// How the keys of a storage are named.
///
/// Everything that a script touches is in one partition, whose keys start with the same hash tag
/// `{prefix:n}`, so that a Redis Cluster keeps them on one node.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    /// What all keys of a partition start with, and two more names.
    partitions: Vec<[String; 3]>,
}

impl Keys {
    pub(crate) fn new(prefix: &str, partitions: usize) -> Self {
        Self {
            prefix: prefix.into(),
            partitions: (0..partitions)
                .map(|n| format!("{{{prefix}:{n}}}"))
                .map(|base| {
                    let more = ["settings", "waits"].map(|name| format!("{base}:{name}"));
                    let [settings, waits] = more;
                    [base, settings, waits]
                })
                .collect(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The keys that a script of a partition names: what all of its keys start with, and a second
    /// one. There is no key of the first name; so while keys go one by one to another node of a
    /// cluster, no node has both, and each refuses the script, which would find some of what it
    /// needs gone. A script whose call waits for replicas has a third, on which it notes that.
    pub(crate) fn of_script(&self, partition: usize, waits: bool) -> &[String] {
        match self.partitions.get(partition) {
            Some(all) if waits => all,
            Some(all) => all.get(..2).unwrap_or_default(),
            None => &[],
        }
    }

    /// The channel on which new work is made known.
    pub(crate) fn channel(&self) -> String {
        format!("{}:wake", self.prefix)
    }

    /// The partition of an endpoint, its deliveries and everything else of it.
    pub(crate) fn partition_of(&self, name: &str) -> usize {
        let count = u64::try_from(self.partitions.len()).unwrap_or(1).max(1);
        usize::try_from(fnv1a(name) % count).unwrap_or(0)
    }
}

/// The name under which an idempotency key is kept: each tenant has its own.
pub(crate) fn idempotency_name(event: &NewEvent) -> Option<String> {
    let key = event.idempotency_key.as_deref()?;
    Some(match event.event.tenant.as_deref() {
        None => format!("-:{key}"),
        Some(tenant) => format!("{}:{tenant}:{key}", tenant.len()),
    })
}

/// What an event's idempotency key stands for, in hex digits; empty if that is not told.
pub(crate) fn fingerprint_text(event: &NewEvent) -> String {
    let print = event.fingerprint.map(|print| print.0);
    let bytes = print.iter().flatten();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// What was written so.
pub(crate) fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 16];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(Fingerprint(bytes))
}

/// FNV-1a, 64 bits. It decides where things are kept, so it must never change.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_partition_for_ever() {
        let keys = Keys::new("webhooks", 16);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(keys.partition_of("a"), 12);
        assert_eq!(keys.of_script(12, false)[0], "{webhooks:12}");
    }
}
