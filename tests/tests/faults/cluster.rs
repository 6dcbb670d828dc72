//! A Redis Cluster of three masters with a replica each, one of which is killed and replaced.

use std::path::Path;

use xtask::RedisCluster;

/// What the keys of all faults start with.
pub(crate) const NAMESPACE: &str = "faults";
/// Of a cluster.
pub(crate) const PARTITIONS: usize = 16;
const MASTERS: u16 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: RedisCluster,
    /// Whether replicas are waited for.
    pub(crate) waits: bool,
    /// The master that is killed, and the replica that takes over.
    victim: usize,
    successor: usize,
}

impl Cluster {
    pub(crate) fn start(folder: &Path, waits: bool) -> Self {
        Self {
            nodes: RedisCluster::start(folder, MASTERS, 1, &[]).unwrap(),
            waits,
            victim: 0,
            successor: 0,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.nodes.url()
    }

    /// Lets the replica of the master that keeps this endpoint stand still, and ends its connection.
    pub(crate) fn cut(&mut self, endpoint: &str) {
        self.victim = self.nodes.master_of(&self.partition_of(endpoint)).unwrap();
        self.successor = self.nodes.replica_of(self.victim).unwrap();
        self.nodes.signal(self.successor, "STOP").unwrap();
        let cut = ["client", "kill", "type", "replica"];
        let ended = self.nodes.command(self.victim, &cut).unwrap();
        assert_eq!(ended, "1", "replicas that were cut off");
    }

    pub(crate) fn kill(&mut self) {
        self.nodes.kill(self.victim).unwrap();
        self.nodes.signal(self.successor, "CONT").unwrap();
    }

    pub(crate) fn take_over(&self) {
        self.nodes.wait_until_master(self.successor).unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.nodes.restart(self.victim).unwrap();
    }

    /// Moves the partition that keeps this endpoint to another master.
    pub(crate) fn move_partition(&self, endpoint: &str) {
        let partition = self.partition_of(endpoint);
        let from = self.nodes.master_of(&partition).unwrap();
        let others = (0..PARTITIONS).map(|n| self.nodes.master_of(&key(n)).unwrap());
        let to = { others }.find(|master| *master != from).unwrap();
        self.nodes.move_slot(&partition, to).unwrap();
        assert_eq!(self.nodes.master_of(&partition).unwrap(), to);
    }

    fn partition_of(&self, endpoint: &str) -> String {
        let keeps = |partition: &String| {
            let master = self.nodes.master_of(partition).unwrap();
            let exists = ["exists", &format!("{partition}:endpoint:{endpoint}")];
            self.nodes.command(master, &exists).unwrap() == "1"
        };
        (0..PARTITIONS).map(key).find(keeps).unwrap()
    }
}

/// What all keys of a partition start with.
fn key(partition: usize) -> String {
    format!("{{{NAMESPACE}:{partition}}}")
}
