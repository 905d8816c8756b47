//! A client's whole conversation without a socket: one connection of a host with a store in memory.
//! The property tests and the fuzz targets drive it.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use latchd::api::ListenerRole;
use latchd::host::{Connection, Host, HostLimits, Network};
use latchd::http::{CONTINUE, Limits};
use latchd::keys::Keys;
use latchd::metrics::{Closed, Process};
use latchd::pool::Rules;
use latchd::session::{Context, Ending, Session, Settings};
use latchd::store::EmbeddedStore;
use latchd::time::Time;

pub struct Conversation {
    host: Host<Link>,
    slot: usize,
    received: Rc<RefCell<Vec<u8>>>,
    pub closed: bool,
}

/// The client's connection, as the host sees it.
struct Link {
    session: Session,
    /// The bytes that the client got.
    received: Rc<RefCell<Vec<u8>>>,
    /// The bytes of the answers that the client leaves in its socket.
    untaken: usize,
}

const NOW: Time = Time::from_ms(0);

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
        let limits = HostLimits {
            max_requests: usize::MAX,
            max_waiters: usize::MAX,
            max_address_waiters: usize::MAX,
            max_wrong_keys: 0,
        };
        let store = Box::new(EmbeddedStore::in_memory(Rules::default()));
        let mut host = Host::new(store, settings, limits, Process::default);
        let received = Rc::new(RefCell::new(Vec::new()));
        let link = Link {
            session: Session::new(&host.settings, ListenerRole::All, NOW),
            received: received.clone(),
            untaken: 0,
        };
        let slot = host.insert(link, Some(Network::of(Ipv4Addr::LOCALHOST.into())));
        Conversation {
            host,
            slot,
            received,
            closed: false,
        }
    }

    /// The client sends bytes, which arrive as one piece.
    pub fn send(&mut self, bytes: &[u8]) {
        self.step(|link, context| link.session.receive(bytes, context));
    }

    /// The client closes its side.
    pub fn end(&mut self) {
        self.step(|link, context| link.session.receive_end(context));
    }

    /// From now on, the client leaves this many bytes of its answers in its socket.
    pub fn leave_untaken(&mut self, untaken: usize) {
        self.host.change(self.slot, |link, _| {
            link.untaken = untaken;
            Some(())
        });
    }

    /// All that the session holds, written out.
    pub fn session_in_words(&self) -> String {
        let link = self.host.get(self.slot);
        link.map_or_else(String::new, |link| format!("{:?}", link.session))
    }

    /// All bytes that the client got, without `100 Continue`: that depends on how much of its body
    /// had arrived already.
    pub fn received(&self) -> Vec<u8> {
        let received = self.received.borrow();
        let mut rest = &received[..];
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

    /// Runs ticks, until there is nothing left to do.
    fn step(&mut self, input: impl FnOnce(&mut Link, &mut Context<'_>)) {
        self.host.read_one(self.slot, NOW, input);
        while self.host.has_work() {
            let slots = self.host.take_to_read();
            for &slot in &slots {
                self.host.read_one(slot, NOW, |link, context| {
                    if link.session.wants_resume(context.settings) {
                        link.session.resume(context);
                    }
                });
            }
            self.host.give_back_to_read(slots);
            self.host.expire(NOW);
            self.host.commit(NOW);
            self.host.write(NOW);
            self.closed |= self.host.is_empty();
        }
    }
}

impl Connection for Link {
    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn note_hangup(&mut self, _: &mut Context<'_>) {}

    fn write(&mut self, context: &mut Context<'_>) -> Option<Closed> {
        let output = self.session.output();
        let count = output.len().saturating_sub(self.untaken);
        if count > 0 {
            self.received
                .borrow_mut()
                .extend_from_slice(&output[..count]);
            self.session.handle_sent(count, context);
        }
        match self.session.poll_ending(context.settings, context.now) {
            Ending::NotYet => None,
            _ => Some(Closed::Client),
        }
    }

    fn can_write(&self) -> bool {
        self.session.output().len() > self.untaken
    }

    fn has_input(&self, _: &Settings) -> bool {
        false
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
