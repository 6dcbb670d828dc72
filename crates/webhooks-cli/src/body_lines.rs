//! The lines of an answer that is read as it comes.

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;

use crate::failure::Failure;

/// The longest line, in bytes: an event and its attempts are far shorter.
const MAX_LINE: usize = 64 << 20;

/// The lines of a body, one at a time.
pub(crate) struct BodyLines {
    body: BodyDataStream,
    /// What came and was not read.
    rest: BytesMut,
    /// Bytes of `rest` that have no end of a line.
    looked_at: usize,
}

impl BodyLines {
    /// The lines of this body.
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            rest: BytesMut::new(),
            looked_at: 0,
        }
    }

    /// The next line, without its end; none behind the last one.
    ///
    /// # Errors
    ///
    /// A body that breaks off, and a line that is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let fresh = self.rest.get(self.looked_at..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let mut line = self.rest.split_to(self.looked_at + at);
                self.rest.advance(1);
                self.looked_at = 0;
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line.freeze()));
            }
            self.looked_at = self.rest.len();
            if self.looked_at > MAX_LINE {
                return Err(Failure::not_understood("a line of the answer is too long"));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.rest.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    return Err(Failure::unreachable("the answer ends early", &error));
                }
                None if self.rest.is_empty() => return Ok(None),
                None => {
                    self.looked_at = 0;
                    return Ok(Some(self.rest.split().freeze()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_the_body_is_cut() {
        let text = "a\r\n\nbc\nd";
        for cut in 0..text.len() {
            let (one, two) = text.split_at(cut);
            let parts = [one, two].map(|part| Ok::<_, Infallible>(part.to_owned()));
            let mut lines = BodyLines::new(Body::from_stream(futures_util::stream::iter(parts)));
            for line in ["a", "", "bc", "d"] {
                assert_eq!(lines.next().await.unwrap().unwrap(), line, "{cut}");
            }
            assert!(lines.next().await.unwrap().is_none(), "{cut}");
        }
    }
}
