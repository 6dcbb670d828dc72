//! Definitions of endpoints, as they are given, in JSON.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use webhooks_core::storage::{Expected, Saved};
use webhooks_core::{KeptEndpoint, Result, WebhookEndpoint, WebhookError};
use zeroize::Zeroizing;

use crate::args::{Args, expected_text};
use crate::endpoints::REGISTRY;
use crate::kept_events::name_line;
use crate::plain_storage::PlainStorage;
use crate::reply::malformed;
use crate::script::Script;

/// How often a definition is read again that others write all the while.
const TRIES: usize = 10;

/// What of a definition is saved.
enum Part {
    Whole,
    /// The secrets alone, in a definition that was read as this.
    Secrets(Bytes),
}

impl PlainStorage {
    pub(crate) async fn save_whole(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let expected = expected_text(expected);
        let saved = self.save(endpoint, &expected, Part::Whole).await?;
        saved.ok_or_else(|| malformed("compares what nobody asked it to compare"))
    }

    /// Puts the secrets into the definition that is stored, and nothing beside it.
    pub(crate) async fn save_secrets_alone(
        &self,
        endpoint: &WebhookEndpoint,
        expected: u64,
    ) -> Result<Saved> {
        for _ in 0..TRIES {
            let Some(read) = self.read_definition(&endpoint.id).await? else {
                return Ok(Saved::Conflict);
            };
            let mut definition = parsed(&read)?;
            definition.secret.clone_from(&endpoint.secret);
            definition
                .previous_secrets
                .clone_from(&endpoint.previous_secrets);
            // Its values of headers may be written in another form meanwhile, which moves no
            // revision and must not be undone.
            let part = Part::Secrets(read);
            if let Some(saved) = self.save(&definition, &expected.to_string(), part).await? {
                return Ok(saved);
            }
        }
        Err(others_write(&endpoint.id))
    }

    /// `None` if the definition is not the one any more that was read.
    async fn save(
        &self,
        endpoint: &WebhookEndpoint,
        expected: &str,
        part: Part,
    ) -> Result<Option<Saved>> {
        let partition = self.connection.keys.partition_of(&endpoint.id);
        let mut args = Args::default();
        args.text(&endpoint.id)
            .text(expected)
            .number(webhooks_core::unique_number());
        match part {
            Part::Whole => args.text("definition").text(""),
            Part::Secrets(read) => args.text("secrets").bytes(read),
        };
        match partition {
            REGISTRY => args.text(""),
            _ => args.number(self.next_revision().await?),
        };
        args.bytes(written(endpoint)?).flag(endpoint.enabled);
        match endpoint.rate_limit {
            Some(limit) => args
                .number(limit.requests_per_second)
                .number(limit.burst_size),
            None => args.text("").text(""),
        };
        args.number(endpoint.batch.map_or(1, |batch| batch.max_events));
        let tenant = endpoint.tenant.as_deref().map(name_line);
        args.text(&tenant.unwrap_or_default());
        let wait = endpoint.batch.map(|batch| batch.max_wait_ms.to_string());
        args.text(&wait.unwrap_or_default());
        let script = Script::SaveEndpoint;
        let mut reply = self.connection.run(partition, script, "", &args).await?;
        let (outcome, revision, replaced) = (reply.text()?, reply.number()?, reply.flag()?);
        match outcome.as_str() {
            "saved" => {}
            "conflict" => return Ok(Some(Saved::Conflict)),
            "rewritten" => return Ok(None),
            _ => return Err(malformed("names an unknown outcome of a save")),
        }
        let rest = async {
            self.announce_changes(partition).await?;
            if replaced {
                self.cancel_replaced(partition, &endpoint.id).await?;
            }
            Ok(Some(Saved::Stored(revision)))
        };
        // It is saved, whatever the error of what follows says of itself.
        rest.await.map_err(WebhookError::perhaps_done)
    }

    /// The number that the next change of any endpoint gets. A definition is saved under it in its
    /// partition before the change is announced, so that mostly both have the same.
    async fn next_revision(&self) -> Result<u64> {
        let none = Args::default();
        let script = Script::Definitions;
        let mut reply = self.connection.run(REGISTRY, script, "0", &none).await?;
        let _definitions: u64 = reply.number()?;
        Ok(reply.number::<u64>()?.saturating_add(1))
    }

    /// Cancels what waits for earlier incarnations of an endpoint.
    async fn cancel_replaced(&self, partition: usize, id: &str) -> Result<()> {
        let (mut place, mut offset) = ("blocked".to_owned(), 0_u64);
        while !place.is_empty() {
            let mut args = Args::default();
            args.text(id).text(&place).number(offset);
            let script = Script::CancelReplaced;
            let mut reply = self.connection.run(partition, script, "", &args).await?;
            (place, offset) = (reply.text()?, reply.number()?);
        }
        Ok(())
    }

    /// Writes the credentials of a definition in another form.
    pub(crate) async fn rewrite_definition(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let Some(read) = self.read_definition(&stored.id).await? else {
            return Ok(false);
        };
        if !parsed(&read)?.has_credentials_of(stored) {
            return Ok(false);
        }
        let anew = with_credentials(&read, rewritten)?;
        let mut args = Args::default();
        args.text(&stored.id).bytes(read).bytes(anew);
        let partition = self.connection.keys.partition_of(&stored.id);
        let script = Script::RewriteDefinition;
        let mut reply = self.connection.run(partition, script, "0", &args).await?;
        reply.flag()
    }

    /// The JSON of a definition, which a tombstone has none of.
    async fn read_definition(&self, id: &str) -> Result<Option<Bytes>> {
        let mut found = self.fields(&[id]).await?;
        let definition = found.first_mut().map(|fields| fields.bytes()).transpose()?;
        Ok(definition.filter(|json| !json.is_empty()))
    }
}

/// A definition in JSON that is wiped once it was sent: without keys its credentials are plain.
fn written(definition: &impl Serialize) -> Result<Bytes> {
    // A buffer that grew would leave copies behind.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, definition)?;
    let mut json = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *json, definition)?;
    Ok(Bytes::from_owner(json))
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parsed(definition: &[u8]) -> Result<KeptEndpoint> {
    Ok(serde_json::from_slice::<WebhookEndpoint>(definition)?.into())
}

/// The definition with the credentials of another. Everything else stays to the letter, also what a
/// later version may have put there.
fn with_credentials(definition: &[u8], of: &WebhookEndpoint) -> Result<Bytes> {
    let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(definition)?;
    let secret = to_raw_value(&of.secret)?;
    let headers = to_raw_value(&of.headers)?;
    let previous = to_raw_value(&of.previous_secrets)?;
    fields.insert("secret", &secret);
    fields.insert("headers", &headers);
    fields.insert("previous_secrets", &previous);
    written(&fields)
}

fn others_write(id: &str) -> WebhookError {
    let text = format!("endpoint {id:?} is written by others all the while");
    WebhookError::transient_storage("cannot save secrets in Redis", text)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Seek, SeekFrom};

    use super::*;

    /// The part of a secret that is looked for: the allocator writes over the first bytes of what
    /// is freed.
    const PART: std::ops::Range<usize> = 40..80;

    /// How often the text, which is given inverted so as to stand nowhere else, is in what this
    /// program can write to. While it is there at all, what reads it may hold it too.
    fn occurrences(inverted: &[u8]) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let (mut found, mut bytes) = (0, Vec::new());
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            bytes.resize(usize::try_from(end - start).unwrap(), 0);
            memory.seek(SeekFrom::Start(start)).unwrap();
            // Some regions of the system cannot be read.
            if memory.read_exact(&mut bytes).is_ok() {
                let is_it = |window: &&[u8]| window.iter().zip(inverted).all(|(a, b)| *a == !b);
                found += bytes.windows(inverted.len()).filter(is_it).count();
            }
            // Or this buffer would be found too.
            bytes.fill(0);
        }
        found
    }

    #[test]
    fn nothing_of_a_definition_is_left_in_memory_once_it_was_sent() {
        let inverted: Vec<u8> = (0..120)
            .map(|_| !u8::try_from(fastrand::alphanumeric()).unwrap())
            .collect();
        let definition = KeptEndpoint::from(WebhookEndpoint {
            // Longer than what a buffer begins with.
            url: "u".repeat(1_000),
            secret: inverted.iter().map(|byte| char::from(!byte)).collect(),
            ..WebhookEndpoint::default()
        });
        let json = written(&*definition).unwrap();
        drop(definition);
        let wanted = inverted.get(PART).unwrap();
        assert!(occurrences(wanted) > 0, "in what is to be sent");
        let sent = json.clone();
        drop(json);
        assert!(occurrences(wanted) > 0, "while it is being sent");
        drop(sent);
        assert_eq!(occurrences(wanted), 0);
    }
}
