//! What a process has changed on its disk, and what of it is left when the power goes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// All changes in the order in which they happened.
pub(crate) struct Recording {
    pub(crate) changes: Vec<Change>,
}

/// A change of a file.
pub(crate) struct Change {
    kind: Kind,
    pub(crate) path: PathBuf,
    offset: usize,
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Written,
    Truncated,
    Synced,
    Unlinked,
}

/// The files of a folder, and what was not synced of each.
#[derive(Default)]
pub(crate) struct Disk<'a> {
    files: HashMap<&'a Path, File<'a>>,
}

#[derive(Default)]
struct File<'a> {
    durable: Vec<u8>,
    pending: Vec<&'a Change>,
}

impl Recording {
    /// Reads what the library before a process has recorded.
    pub(crate) fn read(log: &Path) -> Self {
        let log = fs::read(log).unwrap();
        let mut rest = log.as_slice();
        let mut changes = Vec::new();
        while let Some((kind, after)) = rest.split_first() {
            rest = after;
            let [path, offset, length] = [(); 3].map(|()| number(&mut rest));
            let path = String::from_utf8(take(&mut rest, path).to_vec()).unwrap();
            changes.push(Change {
                kind: match kind {
                    b'w' => Kind::Written,
                    b't' => Kind::Truncated,
                    b's' => Kind::Synced,
                    b'u' => Kind::Unlinked,
                    other => panic!("a record of the kind {other}"),
                },
                path: path.into(),
                offset,
                data: take(&mut rest, length).to_vec(),
            });
        }
        Self { changes }
    }
}

fn number(rest: &mut &[u8]) -> usize {
    usize::from_ne_bytes(take(rest, 8).try_into().unwrap())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}

impl<'a> Disk<'a> {
    pub(crate) fn apply(&mut self, change: &'a Change) {
        let file = self.files.entry(&change.path).or_default();
        match change.kind {
            Kind::Written | Kind::Truncated => file.pending.push(change),
            Kind::Synced => {
                for change in file.pending.drain(..) {
                    change.make(&mut file.durable, |_| true);
                }
            }
            Kind::Unlinked => {
                self.files.remove(change.path.as_path());
            }
        }
    }

    /// Writes what is left: all that was synced, and of the rest what chance has brought to the disk.
    pub(crate) fn lose_power(&self, random: &mut fastrand::Rng, folder: &Path) {
        for (path, file) in &self.files {
            let mut left = file.durable.clone();
            for change in &file.pending {
                match random.u8(..3) {
                    0 => {}
                    1 => change.make(&mut left, |_| true),
                    _ => change.make(&mut left, |_| random.bool()),
                }
            }
            fs::write(folder.join(path.file_name().unwrap()), left).unwrap();
        }
    }
}

impl Change {
    /// Makes the change, of whose sectors only some may reach the disk.
    fn make(&self, file: &mut Vec<u8>, mut reaches: impl FnMut(usize) -> bool) {
        if self.kind == Kind::Truncated {
            file.resize(self.offset, 0);
            return;
        }
        let end = self.offset + self.data.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        for (n, sector) in self.data.chunks(SECTOR).enumerate() {
            if reaches(n) {
                let at = self.offset + n * SECTOR;
                file[at..at + sector.len()].copy_from_slice(sector);
            }
        }
    }
}
