//! Versions of documents: the strong `ETag` of an answer, and the `If-Match` of a change (RFC 9110, sections 8.8.3 and
//! 13.1.1).

use actix_web::HttpRequest;
use actix_web::http::header::IF_MATCH;

use crate::Problem;

/// The versions that a request accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// Reads the header, which is required.
    ///
    /// # Errors
    /// Returns 428 if it is absent.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let mut tags = Vec::new();
        let mut present = false;
        for value in request.headers().get_all(IF_MATCH) {
            present = true;
            let value = value.to_str().unwrap_or_default().trim();
            if value == "*" {
                return Ok(Self(None));
            }
            tags.extend(value.split(',').map(|tag| tag.trim().to_owned()));
        }
        if present { Ok(Self(Some(tags))) } else { Err(Problem::precondition_required()) }
    }

    /// Checks the current version.
    ///
    /// # Errors
    /// Returns 412 if the request does not accept it.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        let current = etag(version);
        match &self.0 {
            Some(tags) if !tags.contains(&current) => Err(Problem::precondition_failed()),
            _ => Ok(()),
        }
    }
}

/// The `ETag` of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_change_names_the_version_that_it_is_about() {
        let of = |value: &str| {
            IfMatch::of(&TestRequest::default().insert_header((IF_MATCH, value)).to_http_request())
        };
        for good in ["\"7\"", "*", "\"6\", \"7\"", " \"7\" "] {
            assert_eq!(of(good).unwrap().check(7), Ok(()), "{good}");
        }
        for old in ["\"6\"", "7", "W/\"7\"", "", "\"\""] {
            assert_eq!(of(old).unwrap().check(7), Err(Problem::precondition_failed()), "{old}");
        }
        let absent = IfMatch::of(&TestRequest::default().to_http_request());
        assert_eq!(absent, Err(Problem::precondition_required()));
    }
}
