//! The server's tick without its sockets: sessions on one store in memory. It allocates nothing of
//! its own once warm, so the measured allocations are the server's.
//!
//! `tests/allocations.rs` and `bench/instructions` drive it.

use latchd::api::ListenerRole;
use latchd::command::{Command, PoolName, ResourceId, Seed, Ticket};
use latchd::keys::Keys;
use latchd::metrics::Metrics;
use latchd::pool::Rules;
use latchd::session::{Buffers, CommandSink, Context, Ending, Session, Settings};
use latchd::store::{EmbeddedStore, Store};
use latchd::time::{Micros, Time};

pub struct Ticks {
    clients: Vec<Client>,
    /// Behind a pointer, as in the server: nothing is inlined here that is not inlined there.
    store: Box<dyn Store>,
    settings: Settings,
    buffers: Buffers,
    next_serial: u64,
    now: Time,
    metrics: Metrics,
    /// The clock that is measured with.
    clock_us: u64,
}

struct Client {
    session: Session,
    /// The bytes that it got in the last tick.
    answer: Vec<u8>,
}

impl Ticks {
    /// Connected clients, and a pool `A` of the resources `1` and on.
    pub fn new(clients: usize, resources: usize) -> Ticks {
        Ticks::with_keys(clients, resources, None)
    }

    /// The same where there may be keys.
    pub fn with_keys(clients: usize, resources: usize, keys: Option<Keys>) -> Ticks {
        let settings = Settings {
            keys,
            ..Settings::default()
        };
        let now = Time::from_ms(1);
        let connect = || Client {
            session: Session::new(&settings, ListenerRole::All, now),
            answer: Vec::with_capacity(64 << 10),
        };
        let clients = std::iter::repeat_with(connect).take(clients).collect();
        let mut store: Box<dyn Store> = Box::new(EmbeddedStore::in_memory(Rules::default()));
        let name =
            |number: usize| ResourceId::parse(number.to_string()).expect("a number is an id");
        let pool = PoolName::parse("A").expect("this is a name");
        let members = (1..=resources).map(name).collect();
        let seeded = store.prepare(false, Some(Seed::of(&pool, members)), now);
        assert_eq!(seeded, Ok(()), "a store in memory takes a seed");
        Ticks {
            clients,
            store,
            settings,
            buffers: Buffers::default(),
            next_serial: 0,
            now,
            metrics: Metrics::default(),
            clock_us: 0,
        }
    }

    /// Runs one tick in which one client sends `bytes`. Returns its answer.
    pub fn ask(&mut self, client: usize, bytes: &[u8]) -> &[u8] {
        self.say(client, bytes);
        self.finish();
        &self.clients[client].answer
    }

    /// Sends bytes of a client in this tick.
    pub fn say(&mut self, client: usize, bytes: &[u8]) {
        self.at(client, |client, context| {
            context.metrics.connections.received_bytes += bytes.len() as u64;
            client.session.receive(bytes, context);
        });
    }

    /// Ends the tick: the store commits, and all clients get their answers. Further ticks follow
    /// while a client's session has work left.
    pub fn finish(&mut self) {
        for client in &mut self.clients {
            client.answer.clear();
        }
        let mut goes_on = true;
        while goes_on {
            self.commit();
            goes_on = false;
            for client in 0..self.clients.len() {
                goes_on |= self.at(client, Client::take_and_go_on);
            }
            self.look_at_the_clock();
        }
    }

    /// Ends a tick of 100 us, and begins the next one 1 ms after its start.
    fn look_at_the_clock(&mut self) {
        let requests = &mut self.metrics.requests;
        requests.end_tick(Micros::from_us(self.clock_us + 100));
        self.clock_us += 1000;
        requests.begin_tick(Micros::from_us(self.clock_us));
    }

    fn commit(&mut self) {
        self.store.handle_timeout(self.now);
        self.store.commit(self.now);
        while let Some((ticket, reply)) = self.store.poll_reply() {
            self.at(ticket.slot(), |client, context| {
                let taken = client.session.handle_reply(ticket, reply, context);
                assert!(taken.is_ok(), "a reply is expected");
            });
        }
    }

    /// The bytes that a client got in the last tick.
    pub fn answer(&self, client: usize) -> &[u8] {
        &self.clients[client].answer
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.after_ms(ms);
    }

    fn at<R>(&mut self, slot: usize, act: impl FnOnce(&mut Client, &mut Context<'_>) -> R) -> R {
        let mut sink = StoreSink {
            store: &mut *self.store,
            next_serial: &mut self.next_serial,
            slot,
            now: self.now,
        };
        let mut context = Context {
            settings: &self.settings,
            buffers: &mut self.buffers,
            now: self.now,
            metrics: &mut self.metrics,
            sink: &mut sink,
        };
        act(&mut self.clients[slot], &mut context)
    }
}

impl Client {
    /// Takes all output of the session. True if the session then has work that had no room before.
    fn take_and_go_on(&mut self, context: &mut Context<'_>) -> bool {
        let output = self.session.output();
        let length = output.len();
        if length > 0 {
            self.answer.extend_from_slice(output);
            context.metrics.connections.sent_bytes += length as u64;
            self.session.handle_sent(length, context);
        }
        let ending = self.session.poll_ending(context.settings, context.now);
        assert_eq!(ending, Ending::NotYet, "the connection stays open");
        let goes_on = self.session.wants_resume(context.settings);
        if goes_on {
            self.session.resume(context);
        }
        goes_on
    }
}

struct StoreSink<'a> {
    store: &'a mut dyn Store,
    next_serial: &'a mut u64,
    slot: usize,
    now: Time,
}

impl CommandSink for StoreSink<'_> {
    fn submit(&mut self, command: Command<'_>) -> Ticket {
        let ticket = Ticket::new(*self.next_serial, self.slot as u32);
        *self.next_serial += 1;
        self.store.submit(ticket, command, self.now);
        ticket
    }

    fn withdraw(&mut self, ticket: Ticket) {
        self.store.withdraw(ticket, self.now);
    }
}
