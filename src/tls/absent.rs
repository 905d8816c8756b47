//! Placeholders for TLS in a build without it: types without values. None of their methods can be
//! reached, so they cost nothing.

use super::{Failure, Pem, Received, Roots, SettingsError};

/// One end of a connection; it has no values here.
#[derive(Debug)]
pub enum Channel {}

impl Channel {
    /// Documented in the build with TLS, as all methods here.
    pub fn receive(&mut self, _: &mut [u8], _: &mut dyn FnMut(&[u8])) -> Result<Received, Failure> {
        match *self {}
    }

    #[doc(hidden)]
    pub fn send(&mut self, _: &[u8]) -> Result<(), Failure> {
        match *self {}
    }

    #[doc(hidden)]
    pub fn unsent_plaintext(&self) -> usize {
        match *self {}
    }

    #[doc(hidden)]
    pub fn is_over(&self) -> bool {
        match *self {}
    }

    #[doc(hidden)]
    pub fn is_ready(&self) -> bool {
        match *self {}
    }

    #[doc(hidden)]
    pub fn has_ended(&self) -> bool {
        match *self {}
    }

    #[doc(hidden)]
    pub fn close(&mut self) {
        match *self {}
    }

    #[doc(hidden)]
    pub fn output(&self) -> &[u8] {
        match *self {}
    }

    #[doc(hidden)]
    pub fn handle_sent(&mut self, _: usize) -> usize {
        match *self {}
    }
}

/// The settings of the server's end; they have no values here.
#[derive(Clone, Debug)]
pub enum ServerSettings {}

impl ServerSettings {
    /// Returns [`SettingsError::NotBuilt`].
    pub fn new(_: Pem<'_>, _: Pem<'_>, _: u16) -> Result<ServerSettings, SettingsError> {
        Err(SettingsError::NotBuilt)
    }

    #[doc(hidden)]
    pub fn renewed(&self, _: Pem<'_>, _: Pem<'_>) -> Result<ServerSettings, SettingsError> {
        match *self {}
    }

    #[doc(hidden)]
    pub fn accept(&self) -> Channel {
        match *self {}
    }
}

/// The settings of the client's end; they have no values here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSettings {}

impl ClientSettings {
    /// Returns [`SettingsError::NotBuilt`].
    pub fn new(
        _: &str,
        _: Roots<'_>,
        _: Option<(Pem<'_>, Pem<'_>)>,
    ) -> Result<ClientSettings, SettingsError> {
        Err(SettingsError::NotBuilt)
    }

    #[doc(hidden)]
    pub fn connect(&self) -> Channel {
        match *self {}
    }
}
