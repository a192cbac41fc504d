//! The optional password: guards what changes something, or with `private` everything. Scripts send it as
//! `Authorization: Bearer PASSWORD`; a page with a login comes later.

use embedded_svc::http::server::{Connection, Method};
use sha2::{Digest as _, Sha256};

use crate::base::secret::Secret;
use crate::web::respond::ApiError;
use crate::web::server::{Call, Route};

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Without one, everybody on the network may do everything.
    pub password: Option<Secret>,
    /// Whether reading needs it too.
    pub private: bool,
}

impl Guard {
    /// Judges a request before its handler runs.
    ///
    /// # Errors
    /// 401 when the password is needed and missing or wrong.
    pub fn judge<C: Connection>(&self, call: &Call<'_, C>, route: &Route) -> Result<(), ApiError> {
        let reads = matches!(route.method, Method::Get | Method::Head | Method::Options);
        if reads {
            self.judge_reader(call.header("Authorization"))
        } else {
            self.demand(call.header("Authorization"))
        }
    }

    /// Judges somebody who only wants to read, by the `Authorization` header.
    ///
    /// # Errors
    /// As [`Guard::judge`].
    pub fn judge_reader(&self, header: Option<&str>) -> Result<(), ApiError> {
        if self.private { self.demand(header) } else { Ok(()) }
    }

    /// Judges somebody who wants to change something, by the `Authorization` header.
    ///
    /// # Errors
    /// As [`Guard::judge`].
    pub fn judge_writer(&self, header: Option<&str>) -> Result<(), ApiError> {
        self.demand(header)
    }

    /// The mode in a word, for the page: `open`, `password` or `private`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match (&self.password, self.private) {
            (None, _) => "open",
            (Some(_), false) => "password",
            (Some(_), true) => "private",
        }
    }

    fn demand(&self, header: Option<&str>) -> Result<(), ApiError> {
        let Some(password) = &self.password else { return Ok(()) };
        // Hashes are compared, so that the time tells nothing about the password.
        let hash = |text: &str| Sha256::digest(text.as_bytes());
        let given = header.and_then(|header| header.strip_prefix("Bearer "));
        if given.is_some_and(|given| hash(given) == hash(password.reveal())) {
            return Ok(());
        }
        let message = "This needs the password of the device: send it as `Authorization: Bearer PASSWORD`.";
        Err(ApiError::new(401, "PASSWORD_NEEDED", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_opens_and_nothing_else_does() {
        let guard = Guard { password: Some(Secret::new("a long sentence")), private: true };
        assert!(guard.judge_reader(Some("Bearer a long sentence")).is_ok());
        for wrong in
            [None, Some(""), Some("Bearer "), Some("Bearer A long sentence"), Some("Basic a long sentence")]
        {
            assert_eq!(guard.judge_reader(wrong).unwrap_err().status, 401, "{wrong:?}");
        }
        let open = Guard { private: false, ..guard };
        assert!(open.judge_reader(None).is_ok() && open.demand(None).is_err());
        assert!(Guard::default().demand(None).is_ok());
    }
}
