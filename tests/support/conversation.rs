//! A client's whole conversation without a socket: a session on top of an embedded store in memory.
//! The property tests and the fuzz targets drive it.

use latchd::api::ListenerRole;
use latchd::command::{Command, Ticket};
use latchd::http::{CONTINUE, Limits};
use latchd::keys::Keys;
use latchd::metrics::Metrics;
use latchd::pool::Rules;
use latchd::session::{Buffers, CommandSink, Context, Ending, Session, Settings};
use latchd::store::{EmbeddedStore, Store};
use latchd::time::Time;

pub struct Conversation {
    session: Session,
    store: EmbeddedStore,
    settings: Settings,
    buffers: Buffers,
    metrics: Metrics,
    next_serial: u64,
    received: Vec<u8>,
    pub closed: bool,
    /// The bytes of the answers that the client leaves in its socket.
    pub leaves_untaken: usize,
}

impl Conversation {
    pub fn new() -> Conversation {
        Conversation::with_keys(None)
    }

    /// Small limits, so that short inputs reach them.
    pub fn with_keys(keys: Option<Keys>) -> Conversation {
        let settings = Settings {
            limits: Limits {
                head_bytes: 256,
                body_bytes: 128,
            },
            max_pipeline: 4,
            max_backlog_bytes: 100,
            keys,
            ..Settings::default()
        };
        Conversation {
            session: Session::new(&settings, ListenerRole::All, Time::default()),
            store: EmbeddedStore::in_memory(Rules::default()),
            settings,
            buffers: Buffers::default(),
            metrics: Metrics::default(),
            next_serial: 0,
            received: Vec::new(),
            closed: false,
            leaves_untaken: 0,
        }
    }

    /// The client sends bytes, which arrive as one piece.
    pub fn send(&mut self, bytes: &[u8]) {
        self.step(|session, context| session.receive(bytes, context));
    }

    /// All that the session holds, written out.
    pub fn session_in_words(&self) -> String {
        format!("{:?}", self.session)
    }

    /// The client closes its side.
    pub fn end(&mut self) {
        self.step(|session, context| session.receive_end(context));
    }

    /// All bytes that the client got, without `100 Continue`: that depends on how much of its body
    /// had arrived already.
    pub fn received(&self) -> Vec<u8> {
        let mut rest = &self.received[..];
        let mut kept = Vec::new();
        while let Some(&first) = rest.first() {
            match rest.strip_prefix(CONTINUE) {
                Some(after) => rest = after,
                None => {
                    kept.push(first);
                    rest = &rest[1..];
                }
            }
        }
        kept
    }

    /// Does the work of a server's ticks, until there is nothing left to do.
    fn step(&mut self, input: impl FnOnce(&mut Session, &mut Context<'_>)) {
        let mut input = Some(input);
        while !self.closed {
            let now = Time::default();
            let mut sink = StoreSink {
                store: &mut self.store,
                next_serial: &mut self.next_serial,
            };
            let mut context = Context {
                settings: &self.settings,
                buffers: &mut self.buffers,
                now,
                metrics: &mut self.metrics,
                sink: &mut sink,
            };
            match input.take() {
                Some(input) => input(&mut self.session, &mut context),
                None if self.session.wants_resume(&self.settings) => {
                    self.session.resume(&mut context);
                }
                None => break,
            }
            self.answer(now);
        }
    }

    fn answer(&mut self, now: Time) {
        self.store.commit(now);
        let replies: Vec<_> = std::iter::from_fn(|| self.store.poll_reply()).collect();
        let mut sink = StoreSink {
            store: &mut self.store,
            next_serial: &mut self.next_serial,
        };
        let mut context = Context {
            settings: &self.settings,
            buffers: &mut self.buffers,
            now,
            metrics: &mut self.metrics,
            sink: &mut sink,
        };
        for (ticket, reply) in replies {
            let taken = self.session.handle_reply(ticket, reply, &mut context);
            assert!(taken.is_ok(), "a reply is expected");
        }
        let output = self.session.output();
        let output = output[..output.len().saturating_sub(self.leaves_untaken)].to_vec();
        self.received.extend_from_slice(&output);
        self.session.handle_sent(output.len(), &mut context);
        self.closed |= self.session.poll_ending(&self.settings, now) != Ending::NotYet;
    }
}

struct StoreSink<'a> {
    store: &'a mut EmbeddedStore,
    next_serial: &'a mut u64,
}

impl CommandSink for StoreSink<'_> {
    fn submit(&mut self, command: Command<'_>) -> Ticket {
        let ticket = Ticket::new(*self.next_serial, 0);
        *self.next_serial += 1;
        self.store.submit(ticket, command, Time::default());
        ticket
    }

    fn withdraw(&mut self, ticket: Ticket) {
        self.store.withdraw(ticket, Time::default());
    }
}

/// A file of keys: one of each role, for pools whose names begin with A, and one for all of them.
pub const KEYS: &str = "r read-secret read A*\nu use-secret use A*\na admin-secret admin A*\n\
     root sha256:4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2 admin *\n";

/// The answer to `conversation`, cut into pieces at these places. Places beyond its end count for
/// nothing.
pub fn answer_to(conversation: &[u8], cuts: &[usize]) -> Vec<u8> {
    answer_with_keys(None, conversation, cuts)
}

/// The same where there may be keys.
pub fn answer_with_keys(keys: Option<&Keys>, conversation: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|&cut| cut.min(conversation.len()))
        .collect();
    cuts.sort_unstable();
    let mut client = Conversation::with_keys(keys.cloned());
    let mut start = 0;
    for cut in cuts.into_iter().chain([conversation.len()]) {
        if cut > start {
            client.send(&conversation[start..cut]);
            start = cut;
        }
    }
    client.end();
    assert!(
        client.closed,
        "a conversation ends when the client has ended it"
    );
    client.received()
}
