//! The file itself: where it may be, and who may read it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use webhooks_core::{Result, WebhookError};

/// File systems that are on another machine, by the number that Linux gives them. Their locks and
/// their shared memory do not do what a database needs.
const NETWORK: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB2"),
    (0xff53_4d42, "CIFS"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x4750_4653, "GPFS"),
];

/// Makes the file if there is none, for its owner alone, and says where it is.
///
/// SQLite would make it with the rights that the process gives to every file. Its other files, the
/// log of writes among them, get the rights of this one.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| {
        let text = format!("sqlite: cannot open {}", path.display());
        WebhookError::permanent_storage(text, error).without_effect()
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    check_file_system(folder, path)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    // Whatever the process does to its working directory later.
    let path = path.canonicalize().map_err(failed)?;
    // The file may be a link to one elsewhere.
    check_file_system(&path, &path)?;
    Ok(path)
}

fn check_file_system(at: &Path, path: &Path) -> Result<()> {
    let Ok(found) = statfs(at) else {
        // Opening it will say what is wrong.
        return Ok(());
    };
    match network_name(found.f_type.cast_unsigned()) {
        None => Ok(()),
        Some(name) => {
            let text = format!(
                "{} is on a network file system ({name}), where a database file is not safe",
                path.display()
            );
            Err(WebhookError::InvalidConfig(text.into()))
        }
    }
}

/// The name of the network file system with this number.
fn network_name(number: u64) -> Option<&'static str> {
    // Some numbers come with the bits of a negative 32-bit one before them.
    let number = number & 0xffff_ffff;
    let mut known = NETWORK.iter();
    known
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_another_machine_is_known_by_its_number() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xffff_ffff_ff53_4d42), Some("CIFS"));
        // ext4, tmpfs and overlayfs.
        for local in [0xef53, 0x0102_1994, 0x794c_7630] {
            assert_eq!(network_name(local), None);
        }
    }
}
