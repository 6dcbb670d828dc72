//! A private Redis Cluster: masters, each with so many replicas, on loopback.

use std::path::Path;

use crate::server::wait_until;
use crate::{Redis, Result, redis, server};

/// Without an answer for so long a node is taken for dead.
const NODE_TIMEOUT: &str = "2000";
const SLOTS: usize = 16_384;

/// See the module. Nodes are told by their place, which they keep whatever their role is. All are
/// stopped when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

/// A line of `CLUSTER NODES`.
struct Node {
    id: String,
    place: usize,
    flags: String,
    master: String,
    /// The first and the last slot of each range that it serves.
    slots: Vec<(u16, u16)>,
}

impl RedisCluster {
    /// Starts the nodes, with their files in `folder`, and waits until they serve all slots and each
    /// replica has what its master has. The settings are as those of a [`Redis`].
    ///
    /// # Errors
    ///
    /// When a node does not start, or they do not come together in 30 s.
    pub fn start(folder: &Path, masters: u16, replicas: u16, settings: &[&str]) -> Result<Self> {
        redis::install_if_missing()?;
        let mut all = vec!["--cluster-enabled", "yes"];
        all.extend(["--cluster-node-timeout", NODE_TIMEOUT]);
        all.extend(["--repl-diskless-sync-delay", "0"]);
        all.extend(settings);
        let mut nodes = Vec::new();
        for n in 0..masters * (1 + replicas) {
            let folder = folder.join(format!("redis-{n}"));
            nodes.push(Redis::start_on(folder, server::free_port_pair()?, &all)?);
        }
        let cluster = Self { nodes };
        cluster.join(usize::from(masters))?;
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// Makes the first nodes masters with equal parts of the slots, and the others their replicas in
    /// turn. `redis-cli --cluster create` would want three masters.
    fn join(&self, masters: usize) -> Result {
        let first = self.node(0)?;
        for (n, node) in self.nodes.iter().enumerate() {
            if n < masters {
                let [from, to] = [n, n + 1].map(|n| SLOTS * n / masters);
                let range = [from.to_string(), (to - 1).to_string()];
                node.command(&["cluster", "addslotsrange", &range[0], &range[1]])?;
            }
            // Nodes of one epoch would settle by themselves who is right, which takes its time.
            node.command(&["cluster", "set-config-epoch", &(n + 1).to_string()])?;
            // Itself too: alone it would not know the address that it has to tell clients.
            let port = node.port().to_string();
            first.command(&["cluster", "meet", "127.0.0.1", &port])?;
        }
        let all = format!("cluster_known_nodes:{}", self.nodes.len());
        wait_until("all nodes know each other", || {
            for node in &self.nodes {
                if !node.command(&["cluster", "info"])?.contains(&all) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        for (n, node) in self.nodes.iter().enumerate().skip(masters) {
            let master = self.node(n % masters)?.command(&["cluster", "myid"])?;
            node.command(&["cluster", "replicate", &master])?;
        }
        Ok(())
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Where it answers: one node, and all others for when that one is away.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = "redis-cluster://".to_owned();
        for (place, node) in self.nodes.iter().enumerate() {
            url += match place {
                0 => "",
                1 => "?node=",
                _ => "&node=",
            };
            url += &format!("127.0.0.1:{}", node.port());
        }
        url
    }

    /// The master that serves the slot of this key.
    ///
    /// # Errors
    ///
    /// When no node answers, or none serves it.
    pub fn master_of(&self, key: &str) -> Result<usize> {
        let slot = self.slot_of(key)?;
        let mut views = (0..self.nodes.len()).filter_map(|place| self.seen_by(place).ok());
        let view = views.next().ok_or("no node answers")?;
        let serves = |node: &&Node| {
            node.slots
                .iter()
                .any(|(from, to)| (from..=to).contains(&&slot))
        };
        let master = view.iter().find(serves).map(|node| node.place);
        master.ok_or_else(|| format!("no node serves slot {slot}"))
    }

    /// A replica of this node.
    ///
    /// # Errors
    ///
    /// When it has none, or does not answer.
    pub fn replica_of(&self, master: usize) -> Result<usize> {
        let nodes = self.seen_by(master)?;
        let me = nodes.iter().find(|node| node.place == master);
        let me = me.map(|node| node.id.clone()).unwrap_or_default();
        let replica = nodes.iter().find(|node| node.master == me);
        let place = replica.map(|node| node.place);
        place.ok_or_else(|| format!("node {master} has no replica"))
    }

    /// What a node answers to a command.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn command(&self, place: usize, command: &[&str]) -> Result<String> {
        self.node(place)?.command(command)
    }

    /// Lets a node stand still, or go on, with a signal such as `STOP` and `CONT`.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn signal(&self, place: usize, signal: &str) -> Result {
        self.node(place)?.signal(signal);
        Ok(())
    }

    /// Kills a node at once.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn kill(&mut self, place: usize) -> Result {
        let node = self.nodes.get_mut(place);
        node.ok_or("no such node")?.kill();
        Ok(())
    }

    /// Starts a killed node again, and waits until all are one cluster again.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not come back in 30 s.
    pub fn restart(&mut self, place: usize) -> Result {
        let node = self.nodes.get_mut(place);
        node.ok_or("no such node")?.restart()?;
        self.wait_until_whole()
    }

    /// Waits until this node is a master that serves slots.
    ///
    /// # Errors
    ///
    /// When it is none after 30 s.
    pub fn wait_until_master(&self, place: usize) -> Result {
        wait_until("a replica is promoted", || {
            let node = self.node(place)?;
            let info = node.command(&["cluster", "info"])?;
            let role = node.command(&["role"])?;
            Ok(role.starts_with("master") && info.contains("cluster_state:ok"))
        })
    }

    /// Moves the slot of this key, with all that is in it, to another master, key by key.
    ///
    /// # Errors
    ///
    /// When a node refuses a step.
    pub fn move_slot(&self, key: &str, to: usize) -> Result {
        let slot = self.slot_of(key)?.to_string();
        let from = self.master_of(key)?;
        let (source, target) = (self.node(from)?, self.node(to)?);
        let source_id = source.command(&["cluster", "myid"])?;
        let target_id = target.command(&["cluster", "myid"])?;
        let port = target.port().to_string();
        target.command(&["cluster", "setslot", &slot, "importing", &source_id])?;
        source.command(&["cluster", "setslot", &slot, "migrating", &target_id])?;
        loop {
            let keys = source.command(&["cluster", "getkeysinslot", &slot, "100"])?;
            let keys: Vec<&str> = keys.lines().collect();
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["migrate", "127.0.0.1", &port, "", "0", "5000", "keys"];
            migrate.extend(&keys);
            let done = source.command(&migrate)?;
            if done != "OK" && done != "NOKEY" {
                return Err(format!("a key stays where it is: {done}"));
            }
        }
        for node in [target, source] {
            node.command(&["cluster", "setslot", &slot, "node", &target_id])?;
        }
        Ok(())
    }

    fn slot_of(&self, key: &str) -> Result<u16> {
        let told = |node: &Redis| node.command(&["cluster", "keyslot", key]).ok();
        let slot = self.nodes.iter().find_map(told);
        let slot = slot.ok_or("no node answers")?;
        slot.parse().map_err(|e| format!("slot {slot}: {e}"))
    }

    fn node(&self, place: usize) -> Result<&Redis> {
        self.nodes.get(place).ok_or_else(|| "no such node".into())
    }

    /// Every node sees all slots served, and every replica has its master's data.
    fn wait_until_whole(&self) -> Result {
        wait_until("all nodes are one cluster", || {
            for node in &self.nodes {
                let info = node.command(&["cluster", "info"])?;
                let link = node.command(&["info", "replication"])?;
                if !info.contains("cluster_state:ok") || link.contains("master_link_status:down") {
                    return Ok(false);
                }
            }
            let seen = self.seen_by(0)?;
            let is_well = |node: &Node| !node.flags.contains("fail");
            let has_role = |node: &Node| node.master != "-" || !node.slots.is_empty();
            Ok(seen.iter().all(|node| is_well(node) && has_role(node)))
        })
    }

    fn seen_by(&self, place: usize) -> Result<Vec<Node>> {
        let told = self.node(place)?.command(&["cluster", "nodes"])?;
        let nodes = told.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let (id, address) = (words.next()?, words.next()?);
            let (flags, master) = (words.next()?, words.next()?);
            let port = address.split('@').next()?.rsplit(':').next()?;
            let at = |node: &Redis| node.port().to_string() == port;
            let ranges = words.skip(4).filter_map(|range| {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                Some((from.parse().ok()?, to.parse().ok()?))
            });
            Some(Node {
                slots: ranges.collect(),
                id: id.to_owned(),
                place: self.nodes.iter().position(at)?,
                flags: flags.to_owned(),
                master: master.to_owned(),
            })
        });
        Ok(nodes.collect())
    }
}
