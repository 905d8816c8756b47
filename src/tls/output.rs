//! Ciphertext to send, and the plaintext that it carries.
//!
//! Plaintext counts as sent when the system has accepted the last byte of its record: the peer cannot
//! read a part of a record.

use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use smallvec::SmallVec;

/// More than the overhead of a record: a header of 5 bytes, a nonce of 8, a tag of 16, the type of the
/// content. The space for queued messages before it is requested when it is needed.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Ciphertext to send. It holds no memory while it is empty.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// The number of `bytes` that were sent.
    sent: usize,
    /// The records in `bytes` that carry plaintext, and were not sent completely.
    records: SmallVec<[Record; 2]>,
}

struct Record {
    /// The end of the record in `bytes`.
    end: usize,
    plaintext_bytes: usize,
}

impl Output {
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Returns the bytes of plaintext whose record was not sent completely.
    pub(super) fn plaintext_bytes(&self) -> usize {
        let records = self.records.iter();
        records.map(|record| record.plaintext_bytes).sum()
    }

    /// Removes `count` sent bytes. Returns the bytes of plaintext sent with them.
    pub(super) fn handle_sent(&mut self, count: usize) -> usize {
        self.sent += count;
        assert!(
            self.sent <= self.bytes.len(),
            "no more is sent than there is"
        );
        let sent = self.sent;
        let whole = self.records.iter().take_while(|record| record.end <= sent);
        let whole = whole.count();
        let left = self.records.drain(..whole);
        let plaintext_bytes = left.map(|record| record.plaintext_bytes).sum();
        if self.sent == self.bytes.len() {
            *self = Output::default();
        }
        plaintext_bytes
    }

    /// Appends a message of the protocol.
    pub(super) fn encode<Data>(&mut self, mut message: EncodeTlsData<'_, Data>) {
        self.append(|space| match message.encode(space) {
            Ok(count) => Ok(count),
            Err(EncodeError::InsufficientSize(error)) => Err(Some(error.required_size)),
            Err(EncodeError::AlreadyEncoded) => Ok(0),
        });
    }

    /// Appends plaintext, in records that carry at most `record_bytes`. Returns false if the keys are
    /// used up.
    pub(super) fn encrypt<Data>(
        &mut self,
        plaintext: &[u8],
        record_bytes: usize,
        traffic: &mut WriteTraffic<'_, Data>,
    ) -> bool {
        plaintext.chunks(record_bytes).all(|piece| {
            self.bytes.reserve(piece.len() + RECORD_OVERHEAD_BYTES);
            let is_done = self.append(|space| in_space(traffic.encrypt(piece, space)));
            if is_done {
                self.records.push(Record {
                    end: self.bytes.len(),
                    plaintext_bytes: piece.len(),
                });
            }
            is_done
        })
    }

    /// Appends the notice that nothing more follows.
    pub(super) fn close<Data>(&mut self, traffic: &mut WriteTraffic<'_, Data>) {
        self.append(|space| in_space(traffic.queue_close_notify(space)));
    }

    /// Appends the output of `write`, which is called again with the space that it asks for. Returns
    /// false if it cannot write at all.
    fn append(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> bool {
        let start = self.bytes.len();
        let mut space = (self.bytes.capacity() - start).max(RECORD_OVERHEAD_BYTES);
        loop {
            self.bytes.resize(start + space, 0);
            let written = write(&mut self.bytes[start..]);
            self.bytes.truncate(start + written.unwrap_or_default());
            match written {
                Ok(_) => return true,
                Err(Some(required)) if required > space => space = required,
                Err(_) => return false,
            }
        }
    }
}

fn in_space(result: Result<usize, EncryptError>) -> Result<usize, Option<usize>> {
    result.map_err(|error| match error {
        EncryptError::InsufficientSize(error) => Some(error.required_size),
        EncryptError::EncryptExhausted => None,
    })
}
