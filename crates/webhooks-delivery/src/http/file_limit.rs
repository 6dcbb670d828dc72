//! How many descriptors this process may have open, and how many of them connections get.

/// Descriptors for everything else: connections of storages, look-ups of names, responses whose rest is
/// read in the background, and the service around this.
const OTHERS: usize = 256;
/// Idle connections at most, however many descriptors there are.
const MAX_IDLE: usize = 4_096;

/// The limit of open files, read when an engine is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileLimit(Option<usize>);

impl FileLimit {
    /// That of this process.
    #[cfg(unix)]
    pub(crate) fn read() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self(limit.current.and_then(|files| usize::try_from(files).ok()))
    }

    /// None that is known of.
    #[cfg(not(unix))]
    pub(crate) const fn read() -> Self {
        Self(None)
    }

    /// How many connections may be idle, of an engine with so many requests at a time: half of what
    /// these and everything else leave over. Where that is nothing there are still a few, which are
    /// closed when a descriptor is needed.
    pub(crate) fn idle(self, requests: usize) -> usize {
        let Some(files) = self.0 else { return MAX_IDLE };
        let left = files.saturating_sub(requests.saturating_add(OTHERS)) / 2;
        left.max(files / 8).min(MAX_IDLE)
    }

    /// What is wrong if so many requests at a time may need more.
    pub(crate) fn warning(self, requests: usize) -> Option<String> {
        let (files, needed) = (self.0?, requests.saturating_add(OTHERS));
        (files < needed).then(|| {
            format!(
                "this process may have {files} files open, and {requests} requests at a time need \
                 {needed}: raise the limit (ulimit -n), or lower max_in_flight"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connections_get_half_of_what_is_left_over() {
        for (files, requests, idle) in [
            (Some(1_024), 256, 256),
            (Some(4_096), 256, 1_792),
            (Some(1 << 20), 256, MAX_IDLE),
            (Some(256), 256, 32),
            (Some(512), 256, 64),
            (None, 256, MAX_IDLE),
            (Some(1_024), usize::MAX, 128),
        ] {
            assert_eq!(FileLimit(files).idle(requests), idle, "{files:?}");
        }
    }

    #[test]
    fn a_limit_that_is_too_low_is_said_with_what_is_needed() {
        let warning = FileLimit(Some(256)).warning(256).unwrap();
        assert!(
            warning.contains("256 files") && warning.contains("need 512"),
            "{warning}"
        );
        assert_eq!(FileLimit(Some(512)).warning(256), None);
        assert_eq!(FileLimit(None).warning(256), None);
        assert!(FileLimit::read().0.is_some_and(|files| files > 0));
    }
}
