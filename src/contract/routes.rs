//! The paths, with the methods of each: the keys and the parameters that they take.

use super::parameters::{
    ACQUIRE, ACQUIRE_NAMED, LIST_POOLS, Parameter, RELEASE, RELEASE_ALL, RENEW, RENEW_ALL,
};

/// The methods that latchd distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Other,
}

/// The role of a key. Each role includes the rights of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May list pools, locks and waiters.
    Read,
    /// May acquire, renew and release.
    Use,
    /// May seed, purge, force and remove.
    Admin,
}

impl Role {
    /// Returns the name of the role in a file of keys.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Use => "use",
            Role::Admin => "admin",
        }
    }
}

/// The part of the API that a listener serves: see `--admin-listen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerRole {
    /// All of it.
    #[default]
    All,
    /// All but the metrics, which have an address of their own.
    Service,
    /// The metrics and the health checks; no pools.
    Admin,
}

impl ListenerRole {
    /// Returns true if it serves the page for browsers, which is about pools.
    pub fn has_page(self) -> bool {
        Route::Pools.is_served_by(self)
    }
}

/// The paths of the contract, in the order of the table. Unknown paths share one, so that clients cannot add rows to
/// the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the patterns say it")]
pub enum Route {
    Root,
    Ping,
    Health,
    Ready,
    Metrics,
    Description,
    Pools,
    Pool,
    Locks,
    Lock,
    Queue,
    Dump,
    /// An unknown path, or an unreadable request.
    None,
}

/// A path of the contract.
#[derive(Debug)]
pub struct RouteRow {
    /// The route, which is also its place in the table.
    pub route: Route,
    /// The path, with names in braces.
    pub pattern: &'static str,
    /// The label of its requests in the metrics.
    pub label: &'static str,
    /// The listeners that serve it.
    pub listeners: &'static [ListenerRole],
    /// GET, and HEAD, which answers the same without the body.
    pub get: Operation,
    /// POST; `None` if the path does not have it. So with `put` and `delete`.
    pub post: Option<Operation>,
    /// PUT.
    pub put: Option<Operation>,
    /// DELETE.
    pub delete: Option<Operation>,
}

/// A method of a path.
#[derive(Debug)]
pub struct Operation {
    /// The key that it needs, where there are keys.
    pub needs: Needs,
    /// Its parameters, in the order of messages.
    pub parameters: &'static [&'static Parameter],
}

/// The rights that a key needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None, not even a key: health checks have none.
    Nothing,
    /// Any key: the answer shows the pools that it is for.
    AnyKey,
    /// This role in the pool of the path.
    InPool(Role),
    /// `use` in the pool of the path, and `admin` with `force`.
    UseOrForce,
    /// `use` in the pool of the path with an owner. Without one it takes from others, and needs `admin`.
    UseOfOwner,
    /// `admin` in each pool that the body names.
    AdminOfBody,
    /// This role in all pools, whatever their names.
    InAll(Role),
}

const EVERYWHERE: &[ListenerRole] = &[
    ListenerRole::All,
    ListenerRole::Service,
    ListenerRole::Admin,
];
const SERVICE: &[ListenerRole] = &[ListenerRole::All, ListenerRole::Service];
const ADMIN: &[ListenerRole] = &[ListenerRole::All, ListenerRole::Admin];

/// Every path.
#[rustfmt::skip] // A method is a line.
pub static ROUTES: [RouteRow; Route::None as usize] = {
    use Needs::{AdminOfBody, AnyKey, InAll, InPool, Nothing, UseOfOwner, UseOrForce};
    use Role::{Admin, Read, Use};
    [
        path(Route::Root, "/", "/", EVERYWHERE, needs(Nothing)),
        path(Route::Ping, "/ping", "/ping", EVERYWHERE, needs(Nothing)),
        path(Route::Health, "/health", "/health", EVERYWHERE, needs(Nothing)),
        path(Route::Ready, "/ready", "/ready", EVERYWHERE, needs(Nothing)),
        path(Route::Metrics, "/metrics", "/metrics", ADMIN, needs(InAll(Read))),
        path(Route::Description, "/openapi.json", "/openapi.json", SERVICE, needs(Nothing)),
        RouteRow {
            post: Some(needs(AdminOfBody)),
            put: Some(needs(AdminOfBody)),
            ..path(Route::Pools, "/pool", "/pool", SERVICE, takes(AnyKey, LIST_POOLS))
        },
        RouteRow {
            post: Some(needs(AdminOfBody)),
            put: Some(needs(AdminOfBody)),
            delete: Some(needs(InPool(Admin))),
            ..path(Route::Pool, "/pool/{pool}", "/pool/:pool", SERVICE, needs(InPool(Read)))
        },
        RouteRow {
            post: Some(takes(InPool(Use), ACQUIRE)),
            put: Some(takes(InPool(Use), RENEW_ALL)),
            delete: Some(takes(UseOfOwner, RELEASE_ALL)),
            ..path(Route::Locks, "/pool/{pool}/lock", "/pool/:pool/lock", SERVICE, needs(InPool(Read)))
        },
        RouteRow {
            post: Some(takes(InPool(Use), ACQUIRE_NAMED)),
            put: Some(takes(InPool(Use), RENEW)),
            delete: Some(takes(UseOrForce, RELEASE)),
            ..path(Route::Lock, "/pool/{pool}/lock/{id}", "/pool/:pool/lock/:id", SERVICE, needs(InPool(Read)))
        },
        path(Route::Queue, "/pool/{pool}/queue", "/pool/:pool/queue", SERVICE, needs(InPool(Read))),
        RouteRow {
            put: Some(needs(InAll(Admin))),
            ..path(Route::Dump, "/dump", "/dump", SERVICE, needs(InAll(Admin)))
        },
    ]
};

/// Returns a path that has GET alone.
const fn path(
    route: Route,
    pattern: &'static str,
    label: &'static str,
    listeners: &'static [ListenerRole],
    get: Operation,
) -> RouteRow {
    RouteRow {
        route,
        pattern,
        label,
        listeners,
        get,
        post: None,
        put: None,
        delete: None,
    }
}

/// Returns a method without parameters.
const fn needs(needs: Needs) -> Operation {
    takes(needs, &[])
}

const fn takes(needs: Needs, parameters: &'static [&'static Parameter]) -> Operation {
    Operation { needs, parameters }
}

/// Each row stands at its place: with it `row` finds it.
const _: () = {
    let mut place = 0;
    while place < ROUTES.len() {
        assert!(ROUTES[place].route as usize == place);
        place += 1;
    }
};

impl Route {
    /// Returns its row in the table; `None` for unknown paths.
    #[inline]
    pub fn row(self) -> Option<&'static RouteRow> {
        ROUTES.get(self as usize)
    }

    /// Returns the label of its requests in the metrics.
    pub fn label(self) -> &'static str {
        self.row().map_or("none", |row| row.label)
    }

    /// Returns true if a listener of this role serves it. Permissions are checked separately.
    pub fn is_served_by(self, role: ListenerRole) -> bool {
        self.row().is_none_or(|row| row.listeners.contains(&role))
    }

    /// Returns true if it needs no key.
    pub fn is_open(self) -> bool {
        self.row()
            .is_some_and(|row| row.get.needs == Needs::Nothing)
    }

    /// Returns the methods for `Allow`.
    pub fn allow(self) -> &'static str {
        let has = |operation: &Option<Operation>| operation.is_some();
        let methods = self
            .row()
            .map(|row| (has(&row.post), has(&row.put), has(&row.delete)));
        match methods.unwrap_or_default() {
            (false, false, false) => "GET, HEAD, OPTIONS",
            (false, true, false) => "GET, HEAD, PUT, OPTIONS",
            (false, false, true) => "GET, HEAD, DELETE, OPTIONS",
            (false, true, true) => "GET, HEAD, PUT, DELETE, OPTIONS",
            (true, false, false) => "GET, HEAD, POST, OPTIONS",
            (true, true, false) => "GET, HEAD, POST, PUT, OPTIONS",
            (true, false, true) => "GET, HEAD, POST, DELETE, OPTIONS",
            (true, true, true) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        }
    }
}

impl RouteRow {
    /// Returns the operation of a method; `None` if the path does not have it.
    #[inline]
    pub fn operation(&self, method: Method) -> Option<&Operation> {
        match method {
            Method::Get | Method::Head => Some(&self.get),
            Method::Post => self.post.as_ref(),
            Method::Put => self.put.as_ref(),
            Method::Delete => self.delete.as_ref(),
            Method::Options | Method::Other => None,
        }
    }

    /// Returns each method that has an operation of its own.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let others = [
            ("POST", &self.post),
            ("PUT", &self.put),
            ("DELETE", &self.delete),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, operation)| Some((name, operation.as_ref()?)));
        std::iter::once(("GET", &self.get)).chain(others)
    }
}

/// The labels that a request is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLabel {
    /// The path.
    pub route: Route,
    /// The effective method; if it is unclear, the method of the request line.
    pub method: Method,
}

impl RequestLabel {
    /// Returns the rights that the request needs; `None` if there is no such request.
    #[inline]
    pub fn needs(self) -> Option<Needs> {
        Some(self.route.row()?.operation(self.method)?.needs)
    }
}
