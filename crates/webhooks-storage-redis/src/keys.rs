use webhooks_core::storage::NewEvent;

/// How the keys of a storage are named.
///
/// Everything that a script touches is in one partition, whose keys start with the same hash tag
/// `{prefix:n}`, so that a Redis Cluster keeps them on one node.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    partitions: Vec<String>,
}

impl Keys {
    pub(crate) fn new(prefix: &str, partitions: usize) -> Self {
        Self {
            prefix: prefix.into(),
            partitions: (0..partitions)
                .map(|n| format!("{{{prefix}:{n}}}"))
                .collect(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// What all keys of a partition start with.
    pub(crate) fn base(&self, partition: usize) -> &str {
        self.partitions.get(partition).map_or("", String::as_str)
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
        assert_eq!(keys.base(12), "{webhooks:12}");
    }
}
