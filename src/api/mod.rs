//! Routes: requests to commands, replies to answers.
//!
//! This module knows every path, parameter and word that a client sees. It does not know how they travel, nor where
//! pools live.

mod access;
mod body;
mod browser;
mod documents;
mod dump;
mod endpoint;
mod list_chunk;
mod parameters;
mod problem;
mod queue;
mod render;

use std::num::NonZeroU32;

pub use access::{Access, MethodOverride, VisiblePools, recheck_waiter};
use body::Form;
pub use body::{BodyError, BodyReader, read_seed};
pub use browser::{BrowserPolicy, BrowserProblem, Cors, is_host_name};
pub use dump::{DumpError, DumpReader, DumpWriter};
use endpoint::Endpoint;
pub use list_chunk::ListCursor;
pub use problem::Problem;
pub use render::{element_count, render_chunk, render_status, render_text};

use crate::command::{
    Command, NameError, PoolName, PoolQuery, Refusal, Reply, ResourceId, Restoration, Seed,
    Selection,
};
pub use crate::contract::ListenerRole;
use crate::contract::parameters::OWNER_OF_ALL;
use crate::contract::{RequestLabel, Route};
use crate::http::{Media, Method, Parameters, Request, split_target};
use crate::keys::Caller;

/// The next step of a request, and the labels to count it under.
#[derive(Debug)]
pub enum RequestAction<'a> {
    /// Submit this command to the store, and render its reply in this shape.
    Submit(Command<'a>, ResponseShape, RequestLabel),
    /// Ask the store whether it answers.
    Probe(RequestLabel),
    /// Render the metrics.
    Scrape(RequestLabel),
    /// Answer at once.
    Respond(Outcome, RequestLabel),
}

/// The result of a request, to be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply of the store.
    Reply(Reply),
    /// The name and version of the server.
    Version,
    /// The page for browsers, which requests its data itself.
    Page,
    /// The OpenAPI description.
    Description,
    /// The server is alive.
    Pong,
    /// The server serves, whatever the state of its store.
    Healthy,
    /// The methods of a path.
    Options(Route),
    /// An error of the request or of the server.
    Problem(Problem),
}

/// The form in which a reply is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseShape {
    /// As a list, even if it has one element.
    pub list: bool,
    /// The part of a lock to show.
    pub show: Show,
    /// The view of pools to filter by the caller's key: the reply must pass [`VisiblePools`]. `None` if no filter is
    /// needed.
    pub filtered: Option<PoolView>,
    /// A name in the request has a part `.` or `..`: if it does not exist, it is a bad name.
    pub is_old_name: bool,
}

/// The part of several pools to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolView {
    /// Each pool, or at most this many.
    List(Option<NonZeroU32>),
    /// The sums of their counts.
    Sums,
}

impl ResponseShape {
    /// Returns the shape for generated clients, which expect one type: the answer to an acquire or a renewal is a
    /// list of leases, whatever the parameters say.
    #[cold]
    pub fn as_leases(self, command: &Command<'_>) -> ResponseShape {
        match command {
            Command::Acquire(..) | Command::Renew(..) | Command::RenewOwned(..) => ResponseShape {
                list: true,
                show: Show::Leases,
                ..self
            },
            _ => self,
        }
    }
}

/// The part of a lock to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The ids of its resources.
    #[default]
    Ids,
    /// Its leases, with all that is known of them.
    Leases,
    /// Nothing: the status is enough.
    Nothing,
}

/// Finds the next step of a request: parses it and checks its permissions.
pub fn route<'a>(request: &Request<'a>, access: &Access<'_>) -> RequestAction<'a> {
    let body = Body::Whole(request.body, request.media);
    find_action(request.method, request.target, body, access)
}

/// Does the same for a request whose body was read while it arrived. `body` must come from [`body_reader`] with the
/// same method, target and access.
pub fn route_read<'a>(
    method: Method,
    target: &'a str,
    body: BodyReader,
    access: &Access<'_>,
) -> RequestAction<'a> {
    find_action(method, target, Body::Read(body), access)
}

fn find_action<'a>(
    method: Method,
    target: &'a str,
    body: Body<'_>,
    access: &Access<'_>,
) -> RequestAction<'a> {
    let (path, query) = split_target(target);
    if access.refused.is_none()
        && access.listener_role != ListenerRole::Admin
        && let Some(endpoint) = Endpoint::find_plain_lock(path)
    {
        let route = endpoint.route();
        return read_request(endpoint, method, query, body, access).unwrap_or_else(|problem| {
            RequestAction::Respond(Outcome::Problem(problem), RequestLabel { route, method })
        });
    }
    find_other_action(method, (path, query), body, access)
}

/// Finds the step of a request for any path.
#[inline(never)]
fn find_other_action<'a>(
    method: Method,
    (path, query): (&'a str, &'a str),
    body: Body<'_>,
    access: &Access<'_>,
) -> RequestAction<'a> {
    let listener_role = access.listener_role;
    let wrong = |route, problem| {
        RequestAction::Respond(Outcome::Problem(problem), RequestLabel { route, method })
    };
    let serves =
        |route: Route| listener_role == ListenerRole::All || route.is_served_by(listener_role);
    let found = Endpoint::find(path);
    if let Some(problem) = access.refused {
        let route = match &found {
            Ok((endpoint, _)) if serves(endpoint.route()) => endpoint.route(),
            Ok(_) | Err(_) => Route::None,
        };
        return wrong(route, Problem::Browser(problem));
    }
    let (endpoint, is_old_name) = match found {
        Ok(found) if serves(found.0.route()) => found,
        Ok(_) => return wrong(Route::None, Problem::NoRoute),
        Err(problem) => return wrong(Route::None, problem),
    };
    let route = endpoint.route();
    let mut action = read_request(endpoint, method, query, body, access)
        .unwrap_or_else(|problem| wrong(route, problem));
    if is_old_name {
        limit_old_name(&mut action);
    }
    action
}

/// Limits the use of a name with a part `.` or `..`: what has such a name from before may be released and removed,
/// and nothing else.
#[cold]
fn limit_old_name(action: &mut RequestAction<'_>) {
    if let RequestAction::Submit(command, shape, label) = action {
        match command {
            Command::RemovePool(_) | Command::Release(..) | Command::ReleaseAll(..) => {
                shape.is_old_name = true;
            }
            _ => {
                let problem = Problem::Name(NameError::DotSegment);
                *action = RequestAction::Respond(Outcome::Problem(problem), *label);
            }
        }
    }
}

/// Turns the reply to a command about a name with a part `.` or `..`: if nothing has this name, the name is bad.
#[cold]
pub fn refuse_old_name(outcome: &mut Outcome) {
    if let Outcome::Reply(Reply::Refused(refusal)) = outcome
        && matches!(
            refusal,
            Refusal::NoPool | Refusal::NoResource | Refusal::NotHeld
        )
    {
        *outcome = Outcome::Problem(Problem::Name(NameError::DotSegment));
    }
}

/// Returns a reader for a body that arrives in pieces. It discards a body that will not count, so `access` must be
/// the same when the request is routed.
pub fn body_reader(method: Method, target: &str, media: Media, access: &Access<'_>) -> BodyReader {
    let find = || {
        let (path, query) = split_target(target);
        let mut parameters = Parameters::parse(query)?;
        let method = parameters::effective_method(method, &mut parameters, access.method_override)?;
        Ok::<_, Problem>((Endpoint::find(path)?.0, method))
    };
    let found = find();
    let form = match &found {
        _ if access.ignores_body() => Form::Nothing,
        Ok((Endpoint::Pools, Method::Post | Method::Put)) => Form::Pools,
        Ok((Endpoint::Dump, Method::Put)) => Form::Dump,
        Ok((Endpoint::Pool(pool), Method::Post | Method::Put)) => Form::Ids(pool),
        // The body of a bad request is not parsed.
        Ok(_) | Err(_) => Form::Nothing,
    };
    BodyReader::new(form, media)
}

/// The body of a request.
enum Body<'a> {
    Whole(&'a [u8], Media),
    Read(BodyReader),
}

impl Body<'_> {
    /// Parses the body. The seed is empty if the request needs none.
    #[inline]
    fn take(self, form: Form<'_>) -> Result<Seed, BodyError> {
        match self {
            Body::Whole(bytes, media) => body::read(form, media, bytes),
            Body::Read(reader) => reader.finish(),
        }
    }

    /// Parses the body as a dump.
    fn take_dump(self) -> Result<Restoration, BodyError> {
        let reader = match self {
            Body::Whole(bytes, media) => {
                let mut reader = BodyReader::new(Form::Dump, media);
                reader.take(bytes);
                reader
            }
            Body::Read(reader) => reader,
        };
        reader.finish_dump()
    }
}

fn read_request<'a>(
    endpoint: Endpoint<'a>,
    method: Method,
    query: &'a str,
    body: Body<'_>,
    access: &Access<'_>,
) -> Result<RequestAction<'a>, Problem> {
    let caller = access.caller;
    if method == Method::Options {
        // A browser's preflight has the query of the later request, and no key.
        let route = endpoint.route();
        let options = Outcome::Options(route);
        return Ok(RequestAction::Respond(
            options,
            RequestLabel { route, method },
        ));
    }
    // Without a valid key the body is not parsed.
    if let Caller::Unauthenticated(failure) = caller
        && !endpoint.route().is_open()
    {
        return Err(Problem::of_auth_failure(failure));
    }
    let mut parameters = Parameters::parse(query)?;
    let method = parameters::effective_method(method, &mut parameters, access.method_override)?;
    let of = |route| RequestLabel { route, method };
    let action = match (endpoint, method) {
        (Endpoint::Root, Method::Get | Method::Head) => {
            RequestAction::Respond(Outcome::Version, of(Route::Root))
        }
        (Endpoint::Ping, Method::Get | Method::Head) => {
            RequestAction::Respond(Outcome::Pong, of(Route::Ping))
        }
        (Endpoint::Health, Method::Get | Method::Head) => {
            RequestAction::Respond(Outcome::Healthy, of(Route::Health))
        }
        (Endpoint::Ready, Method::Get | Method::Head) => RequestAction::Probe(of(Route::Ready)),
        (Endpoint::Metrics, Method::Get | Method::Head) => {
            access::check_all_pools(caller, of(Route::Metrics))?;
            RequestAction::Scrape(of(Route::Metrics))
        }
        (Endpoint::Description, Method::Get | Method::Head) => {
            RequestAction::Respond(Outcome::Description, of(Route::Description))
        }
        (Endpoint::Queue(pool), Method::Get | Method::Head) => {
            queue::list(pool, body, of(Route::Queue), caller)?
        }
        (Endpoint::Dump, _) => dump::dump(of(Route::Dump), body, caller)?,
        (Endpoint::Pools, method) => pools(method, body, &mut parameters, caller)?,
        (Endpoint::Pool(pool), method) => pool_itself(pool, method, body, caller)?,
        (Endpoint::Locks(pool), method) => {
            return locks(pool, method, body, &mut parameters, caller);
        }
        (Endpoint::Lock(pool, id), method) => {
            return lock(pool, id, method, body, &mut parameters, caller);
        }
        (endpoint, _) => return Err(Problem::BadMethod(endpoint.route())),
    };
    parameters::refuse_others(&parameters, &[])?;
    Ok(action)
}

/// Submits a command if the caller may use it. All commands about pools pass here.
#[inline(always)]
fn ask<'a>(
    command: Command<'a>,
    shape: ResponseShape,
    label: RequestLabel,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    if !matches!(caller, Caller::AuthDisabled) {
        access::check(caller, label, &command)?;
    }
    Ok(RequestAction::Submit(command, shape, label))
}

/// Routes `/pool`.
fn pools<'a>(
    method: Method,
    body: Body<'_>,
    parameters: &mut Parameters<'a>,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    let mut shape = ResponseShape {
        list: true,
        ..ResponseShape::default()
    };
    let command = match method {
        Method::Get | Method::Head => {
            let (contains, view) = parameters::pools(parameters)?;
            let sees_all = !caller.is_filtered();
            shape.filtered = match view {
                PoolView::Sums if sees_all => None,
                _ => matches!(caller, Caller::Authenticated(_)).then_some(view),
            };
            match view {
                PoolView::Sums if sees_all => Command::SumPools(contains),
                PoolView::List(limit) if sees_all => {
                    Command::ListPools(PoolQuery { contains, limit })
                }
                // A filter by the key needs the list.
                _ => Command::ListPools(PoolQuery {
                    contains,
                    limit: None,
                }),
            }
        }
        Method::Post => Command::AddMembers(body.take(Form::Pools)?),
        Method::Put => Command::SetMembers(body.take(Form::Pools)?),
        _ => return Err(Problem::BadMethod(Route::Pools)),
    };
    let route = Route::Pools;
    ask(command, shape, RequestLabel { route, method }, caller)
}

/// Routes `/pool/A`.
fn pool_itself<'a>(
    pool: PoolName<'a>,
    method: Method,
    body: Body<'_>,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    let command = match method {
        Method::Get | Method::Head => Command::ListMembers(pool),
        Method::Post => Command::AddMembers(body.take(Form::Ids(&pool))?),
        Method::Put => Command::SetMembers(body.take(Form::Ids(&pool))?),
        Method::Delete => Command::RemovePool(pool),
        _ => return Err(Problem::BadMethod(Route::Pool)),
    };
    let (shape, route) = (ResponseShape::default(), Route::Pool);
    ask(command, shape, RequestLabel { route, method }, caller)
}

/// Routes `/pool/A/lock`.
fn locks<'a>(
    pool: PoolName<'a>,
    method: Method,
    body: Body<'_>,
    parameters: &mut Parameters<'a>,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    body.take(Form::Nothing)?;
    let (command, show, list) = match method {
        Method::Get | Method::Head => {
            parameters::refuse_others(parameters, &[])?;
            (Command::ListLocks(pool), Show::Leases, true)
        }
        Method::Post => {
            let (acquire, show) = parameters::acquire(parameters, None)?;
            let list = !matches!(acquire.selection, Selection::Any(NonZeroU32::MIN));
            (Command::Acquire(pool, acquire), show, list)
        }
        Method::Put => {
            let (renewal, show) = parameters::renewal(parameters)?;
            if renewal.owner.is_none() {
                let right = "the name that the locks were taken with";
                return Err(Problem::BadValue(OWNER_OF_ALL.name, right.into()));
            }
            (Command::RenewOwned(pool, renewal), show, true)
        }
        Method::Delete => {
            let filter = parameters::filter(parameters)?;
            (Command::ReleaseAll(pool, filter), Show::Ids, false)
        }
        _ => return Err(Problem::BadMethod(Route::Locks)),
    };
    let shape = ResponseShape {
        list,
        show,
        ..ResponseShape::default()
    };
    let route = Route::Locks;
    ask(command, shape, RequestLabel { route, method }, caller)
}

/// Routes `/pool/A/lock/4`.
fn lock<'a>(
    pool: PoolName<'a>,
    id: ResourceId<'a>,
    method: Method,
    body: Body<'_>,
    parameters: &mut Parameters<'a>,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    body.take(Form::Nothing)?;
    let (command, show) = match method {
        Method::Get | Method::Head => {
            parameters::refuse_others(parameters, &[])?;
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
            let condition = parameters::condition(parameters)?;
            (Command::Release(pool, id, condition), Show::Nothing)
        }
        _ => return Err(Problem::BadMethod(Route::Lock)),
    };
    let shape = ResponseShape {
        show,
        ..ResponseShape::default()
    };
    let route = Route::Lock;
    ask(command, shape, RequestLabel { route, method }, caller)
}

#[cfg(test)]
mod tests;
