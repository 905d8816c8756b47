//! Requests to commands, and what came of them to answers: the routes of the contract.
//!
//! It knows every path, parameter and word that a client sees. It does not know how they travel,
//! nor where pools live.

mod body;
mod parameters;
mod problem;
mod render;

use std::borrow::Cow;
use std::num::NonZeroU32;

use body::Form;
pub use body::{BodyError, BodyReader, read_seed};
pub use problem::Problem;
pub use render::{render_status, render_text};

use crate::command::{Command, PoolName, Reply, ResourceId, Seed, Wanted};
use crate::http::{Method, Parameters, Request, decode_segments, split_target};

/// What a request comes to.
#[derive(Debug)]
pub enum Action<'a> {
    /// A store must be asked; its reply is to be shown in this shape.
    Ask(Command<'a>, Shape),
    /// It can be answered at once.
    Answer(Outcome),
}

/// What a request has led to, before it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the store replied.
    Reply(Reply),
    /// The name and version of the server.
    Version,
    /// The server is alive.
    Pong,
    /// The methods that a path has.
    Options(&'static str),
    /// Something is wrong with the request, or with the server.
    Problem(Problem),
}

/// How a reply is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// As a list, even if there is one element.
    pub list: bool,
    /// What of a lock.
    pub show: Show,
}

/// How much of a lock is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The ids of its resources.
    #[default]
    Ids,
    /// All that is known of it.
    Leases,
    /// Nothing: that it worked is enough.
    Nothing,
}

/// Finds out what a request wants.
pub fn route<'a>(request: &Request<'a>) -> Action<'a> {
    let body = Body::Whole(request.body);
    read_request(request.method, request.target, body).unwrap_or_else(Action::of_problem)
}

/// Finds out what a request wants whose body was read while it came, by what `body_reader` has made
/// for it.
pub fn route_read<'a>(method: Method, target: &'a str, body: BodyReader) -> Action<'a> {
    read_request(method, target, Body::Read(body)).unwrap_or_else(Action::of_problem)
}

/// What reads the body of a request while it comes.
pub fn body_reader(method: Method, target: &str) -> BodyReader {
    let find = || {
        let (path, query) = split_target(target);
        let mut parameters = Parameters::parse(query)?;
        let method = parameters::effective_method(method, &mut parameters)?;
        Ok::<_, Problem>((Endpoint::find(path)?, method))
    };
    let found = find();
    BodyReader::new(match &found {
        Ok((Endpoint::Pools, Method::Post | Method::Put)) => Form::Pools,
        Ok((Endpoint::Pool(pool), Method::Post | Method::Put)) => Form::Ids(pool),
        // Of a request that cannot be understood the body is not, either.
        Ok(_) | Err(_) => Form::Nothing,
    })
}

/// The body of a request.
enum Body<'a> {
    Whole(&'a [u8]),
    Read(BodyReader),
}

impl Body<'_> {
    /// What it comes to, which is an empty seed if none is needed.
    fn take(self, form: Form<'_>) -> Result<Seed, BodyError> {
        match self {
            Body::Whole(bytes) => body::read(form, bytes),
            Body::Read(reader) => reader.finish(),
        }
    }
}

impl Action<'_> {
    fn of_problem(problem: Problem) -> Self {
        Action::Answer(Outcome::Problem(problem))
    }
}

/// The paths of the contract.
enum Endpoint<'a> {
    Root,
    Ping,
    Pools,
    Pool(PoolName<'a>),
    Locks(PoolName<'a>),
    Lock(PoolName<'a>, ResourceId<'a>),
}

impl<'a> Endpoint<'a> {
    fn find(path: &'a str) -> Result<Endpoint<'a>, Problem> {
        let mut segments = decode_segments(path)?;
        let name_at = |place: &mut Cow<'a, str>| std::mem::take(place);
        Ok(match &mut segments[..] {
            [] => Endpoint::Root,
            [ping] if ping == "ping" => Endpoint::Ping,
            [pool] if pool == "pool" => Endpoint::Pools,
            [pool, name] if pool == "pool" => Endpoint::Pool(PoolName::parse(name_at(name))?),
            [pool, name, lock] if pool == "pool" && lock == "lock" => {
                Endpoint::Locks(PoolName::parse(name_at(name))?)
            }
            [pool, name, lock, id] if pool == "pool" && lock == "lock" => {
                let (name, id) = (name_at(name), name_at(id));
                Endpoint::Lock(PoolName::parse(name)?, ResourceId::parse(id)?)
            }
            _ => return Err(Problem::NoRoute),
        })
    }

    /// Its methods, for `Allow`.
    fn methods(&self) -> &'static str {
        match self {
            Endpoint::Root | Endpoint::Ping => "GET, HEAD, OPTIONS",
            Endpoint::Pools => "GET, HEAD, POST, PUT, OPTIONS",
            Endpoint::Pool(_) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
            Endpoint::Locks(_) | Endpoint::Lock(..) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        }
    }
}

fn read_request<'a>(
    method: Method,
    target: &'a str,
    body: Body<'_>,
) -> Result<Action<'a>, Problem> {
    let (path, query) = split_target(target);
    let endpoint = Endpoint::find(path)?;
    if method == Method::Options {
        // A browser asks with the query of what it will ask for.
        return Ok(Action::Answer(Outcome::Options(endpoint.methods())));
    }
    let mut parameters = Parameters::parse(query)?;
    let method = parameters::effective_method(method, &mut parameters)?;
    let methods = endpoint.methods();
    let action = match (endpoint, method) {
        (Endpoint::Root, Method::Get | Method::Head) => Action::Answer(Outcome::Version),
        (Endpoint::Ping, Method::Get | Method::Head) => Action::Answer(Outcome::Pong),
        (Endpoint::Pools, method) => pools(method, body, methods)?,
        (Endpoint::Pool(pool), method) => pool_itself(pool, method, body, methods)?,
        (Endpoint::Locks(pool), method) => {
            return locks(pool, method, body, &mut parameters, methods);
        }
        (Endpoint::Lock(pool, id), method) => {
            return lock(pool, id, method, body, &mut parameters, methods);
        }
        _ => return Err(Problem::BadMethod(methods)),
    };
    parameters::refuse_others(&parameters, "none")?;
    Ok(action)
}

fn ask(command: Command<'_>) -> Action<'_> {
    Action::Ask(command, Shape::default())
}

/// `/pool`
fn pools<'a>(method: Method, body: Body<'_>, methods: &'static str) -> Result<Action<'a>, Problem> {
    let shape = Shape {
        list: true,
        ..Shape::default()
    };
    let command = match method {
        Method::Get | Method::Head => Command::ListPools,
        Method::Post => Command::AddMembers(body.take(Form::Pools)?),
        Method::Put => Command::SetMembers(body.take(Form::Pools)?),
        _ => return Err(Problem::BadMethod(methods)),
    };
    Ok(Action::Ask(command, shape))
}

/// `/pool/A`
fn pool_itself<'a>(
    pool: PoolName<'a>,
    method: Method,
    body: Body<'_>,
    methods: &'static str,
) -> Result<Action<'a>, Problem> {
    Ok(ask(match method {
        Method::Get | Method::Head => Command::ListMembers(pool),
        Method::Post => Command::AddMembers(body.take(Form::Ids(&pool))?),
        Method::Put => Command::SetMembers(body.take(Form::Ids(&pool))?),
        Method::Delete => Command::RemovePool(pool),
        _ => return Err(Problem::BadMethod(methods)),
    }))
}

/// `/pool/A/lock`
fn locks<'a>(
    pool: PoolName<'a>,
    method: Method,
    body: Body<'_>,
    parameters: &mut Parameters<'a>,
    methods: &'static str,
) -> Result<Action<'a>, Problem> {
    body.take(Form::Nothing)?;
    let (command, show, list) = match method {
        Method::Get | Method::Head => {
            parameters::refuse_others(parameters, "none")?;
            (Command::ListLocks(pool), Show::Leases, true)
        }
        Method::Post => {
            let (acquire, show) = parameters::acquire(parameters, None)?;
            let list = !matches!(acquire.wanted, Wanted::Any(NonZeroU32::MIN));
            (Command::Acquire(pool, acquire), show, list)
        }
        Method::Put => {
            let (renewal, show) = parameters::renewal(parameters)?;
            if renewal.owner.is_none() {
                return Err(Problem::BadValue(
                    "owner",
                    "the name of who holds locks".into(),
                ));
            }
            (Command::RenewOwned(pool, renewal), show, true)
        }
        Method::Delete => {
            let filter = parameters::filter(parameters)?;
            (Command::ReleaseAll(pool, filter), Show::Ids, false)
        }
        _ => return Err(Problem::BadMethod(methods)),
    };
    Ok(Action::Ask(command, Shape { list, show }))
}

/// `/pool/A/lock/4`
fn lock<'a>(
    pool: PoolName<'a>,
    id: ResourceId<'a>,
    method: Method,
    body: Body<'_>,
    parameters: &mut Parameters<'a>,
    methods: &'static str,
) -> Result<Action<'a>, Problem> {
    body.take(Form::Nothing)?;
    let (command, show) = match method {
        Method::Get | Method::Head => {
            parameters::refuse_others(parameters, "none")?;
            (Command::ShowLock(pool, id), Show::Leases)
        }
        Method::Post => {
            let (acquire, show) = parameters::acquire(parameters, Some(id))?;
            (Command::Acquire(pool, acquire), show)
        }
        Method::Put => {
            let (renewal, show) = parameters::renewal(parameters)?;
            (Command::Renew(pool, id, renewal), show)
        }
        Method::Delete => {
            let proof = parameters::proof(parameters)?;
            (Command::Release(pool, id, proof), Show::Nothing)
        }
        _ => return Err(Problem::BadMethod(methods)),
    };
    Ok(Action::Ask(command, Shape { list: false, show }))
}
