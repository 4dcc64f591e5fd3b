//! The pages that the links of mails lead to: small, in English and German, and without JavaScript except for the one script
//! that moves the code from the address into the form.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use charging::Db;
use charging::accounts::{Email, Language, Password};
use http_server::openapi::Answers;
use http_server::{Problem, body};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema};

use super::MAX_BODY;
use super::by_mail::{ask_for_reset, reset, use_code};
use crate::accounts::Parts;
use crate::error::ApiError;
use crate::live::Live;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const FORM: &str = "application/x-www-form-urlencoded";
const SCRIPT: &str = include_str!("pages/auth.js");
const STYLE: &str = include_str!("pages/auth.css");

/// The texts of a language.
struct Texts {
    verify: &'static str,
    reset: &'static str,
    code: &'static str,
    confirm: &'static str,
    email: &'static str,
    send: &'static str,
    password: &'static str,
    change: &'static str,
    verified: &'static str,
    changed: &'static str,
    sent: &'static str,
    refused: &'static str,
    too_many: &'static str,
    unavailable: &'static str,
}

const ENGLISH: Texts = Texts {
    verify: "Confirm your email address",
    reset: "Choose a new password",
    code: "Code from the mail",
    confirm: "Confirm",
    email: "Email address of your account",
    send: "Send a code",
    password: "New password, 8 characters or more",
    change: "Change the password",
    verified: "Your email address is confirmed.",
    changed: "Your password is changed. Please sign in again.",
    sent: "If an account has this address, a mail with a code is on its way.",
    refused: "This did not work. A code works once and for a limited time; a password has 8 to 256 characters.",
    too_many: "Too many attempts. Please wait a minute.",
    unavailable: "This does not work at present. Please try again later.",
};

const GERMAN: Texts = Texts {
    verify: "E-Mail-Adresse bestätigen",
    reset: "Neues Passwort wählen",
    code: "Code aus der E-Mail",
    confirm: "Bestätigen",
    email: "E-Mail-Adresse Ihres Kontos",
    send: "Code senden",
    password: "Neues Passwort, mindestens 8 Zeichen",
    change: "Passwort ändern",
    verified: "Ihre E-Mail-Adresse ist bestätigt.",
    changed: "Ihr Passwort ist geändert. Bitte melden Sie sich neu an.",
    sent: "Wenn ein Konto diese Adresse hat, ist eine E-Mail mit einem Code unterwegs.",
    refused: "Das hat nicht geklappt. Ein Code gilt einmal und begrenzte Zeit; ein Passwort hat 8 bis 256 Zeichen.",
    too_many: "Zu viele Versuche. Bitte warten Sie eine Minute.",
    unavailable: "Das geht im Moment nicht. Bitte versuchen Sie es später noch einmal.",
};

/// The page with its form again, and why it did not work.
struct FormAgain;

impl IntoResponses for FormAgain {
    fn responses() -> Answers {
        let html = ContentBuilder::new().schema(Some(String::schema())).build();
        let page = ResponseBuilder::new().description("The form again, and why it did not work");
        let page = page.content("text/html", html).build();
        ["400", "408", "413", "415", "429", "503"]
            .map(|status| (status.to_owned(), page.clone().into()))
            .into()
    }
}

/// The page where an address is verified
#[utoipa::path(get, path = "/verify", operation_id = "verify_page", tag = "auth",
    responses((status = 200, description = "A form for the code", content_type = "text/html", body = String)))]
pub(crate) async fn verify_page(request: HttpRequest) -> HttpResponse {
    verify_form(language(&request), StatusCode::OK, None)
}

/// Verify an address by the form
#[utoipa::path(post, path = "/verify", operation_id = "verify_by_form", tag = "auth",
    request_body(content_type = "application/x-www-form-urlencoded", content = Object),
    responses((status = 200, description = "The address belongs to the account", content_type = "text/html",
        body = String), FormAgain))]
pub(crate) async fn verify(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let language = language(&request);
    let used = async {
        let fields = fields(&request, payload).await?;
        parts.limits.address(&request)?;
        use_code(&db, field(&fields, "code")).await
    };
    match used.await {
        Ok(()) => page(language, StatusCode::OK, texts(language).verify, Some(texts(language).verified), ""),
        Err(error) => {
            refused(&error, verify_form(language, error.status_code(), Some(why(language, &error))))
        }
    }
}

/// The page where a new password is chosen
#[utoipa::path(get, path = "/reset", operation_id = "reset_page", tag = "auth",
    responses((status = 200, description = "Forms for the address, and for the code and the new password",
        content_type = "text/html", body = String)))]
pub(crate) async fn reset_page(request: HttpRequest) -> HttpResponse {
    reset_form(language(&request), StatusCode::OK, None)
}

/// Ask for a new password, or choose it, by the form
#[utoipa::path(post, path = "/reset", operation_id = "reset_by_form", tag = "auth",
    request_body(content_type = "application/x-www-form-urlencoded", content = Object),
    responses((status = 200, description = "It is done", content_type = "text/html", body = String), FormAgain))]
pub(crate) async fn reset_by_form(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let language = language(&request);
    let texts = texts(language);
    let done = async {
        let fields = fields(&request, payload).await?;
        if let Some((_, email)) = fields.iter().find(|(name, _)| name == "email") {
            let email: Email =
                email.trim().parse().map_err(|expected: &str| Problem::invalid("email", expected))?;
            ask_for_reset(&db, &parts, &request, email).await?;
            return Ok::<_, ApiError>(texts.sent);
        }
        parts.limits.address(&request)?;
        let password: Password = field(&fields, "password")
            .parse()
            .map_err(|expected: &str| Problem::invalid("password", expected))?;
        reset(&db, &live, &parts, field(&fields, "code"), password).await?;
        Ok(texts.changed)
    };
    match done.await {
        Ok(text) if text == texts.sent => reset_form(language, StatusCode::OK, Some(text)),
        Ok(text) => page(language, StatusCode::OK, texts.reset, Some(text), ""),
        Err(error) => refused(&error, reset_form(language, error.status_code(), Some(why(language, &error)))),
    }
}

/// The script of the pages
#[utoipa::path(get, path = "/auth.js", operation_id = "auth_script", tag = "auth",
    responses((status = 200, description = "It moves the code into the form", content_type = "text/javascript",
        body = String)))]
pub(crate) async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(SCRIPT)
}

/// The style of the pages
#[utoipa::path(get, path = "/auth.css", operation_id = "auth_style", tag = "auth",
    responses((status = 200, description = "A style sheet", content_type = "text/css", body = String)))]
pub(crate) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(STYLE)
}

fn verify_form(language: Language, status: StatusCode, note: Option<&str>) -> HttpResponse {
    let Texts { verify, code, confirm, .. } = texts(language);
    let form = format!(
        "<form method=\"post\" action=\"verify\"><label>{code}<input name=\"code\" required autocomplete=\"off\" \
         maxlength=\"100\"></label><button>{confirm}</button></form>"
    );
    page(language, status, verify, note, &form)
}

fn reset_form(language: Language, status: StatusCode, note: Option<&str>) -> HttpResponse {
    let Texts { reset, code, email, send, password, change, .. } = texts(language);
    let forms = format!(
        "<form method=\"post\" action=\"reset\"><label>{code}<input name=\"code\" required autocomplete=\"off\" \
         maxlength=\"100\"></label><label>{password}<input name=\"password\" type=\"password\" required minlength=\"8\" \
         maxlength=\"256\" autocomplete=\"new-password\"></label><button>{change}</button></form>\
         <form method=\"post\" action=\"reset\"><label>{email}<input name=\"email\" type=\"email\" required \
         maxlength=\"254\" autocomplete=\"email\"></label><button>{send}</button></form>"
    );
    page(language, status, reset, note, &forms)
}

/// It holds nothing that was sent. Paths are relative, because only the client knows the prefix that a proxy adds.
fn page(
    language: Language,
    status: StatusCode,
    title: &str,
    note: Option<&str>,
    forms: &str,
) -> HttpResponse {
    let note = note.map(|note| format!("<p role=\"status\">{note}</p>")).unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title><link rel=\"stylesheet\" \
         href=\"auth.css\"><script src=\"auth.js\" defer></script></head><body><main><h1>{title}</h1>{note}{forms}</main>\
         </body></html>"
    );
    HttpResponse::build(status)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((VARY, "accept-language"))
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// The page has the headers of the problem, such as `Retry-After`.
fn refused(error: &ApiError, mut page: HttpResponse) -> HttpResponse {
    let problem = error.error_response();
    for (name, value) in problem.headers().iter().filter(|(name, _)| *name != CONTENT_TYPE) {
        page.headers_mut().insert(name.clone(), value.clone());
    }
    page
}

fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}

fn why(language: Language, error: &ApiError) -> &'static str {
    match error.status_code() {
        StatusCode::TOO_MANY_REQUESTS => texts(language).too_many,
        status if status.is_client_error() => texts(language).refused,
        _ => texts(language).unavailable,
    }
}

async fn fields(request: &HttpRequest, payload: Payload) -> Result<Vec<(String, String)>, ApiError> {
    let body = body::read(request, payload, MAX_BODY).await?;
    if body::media_type(request) != FORM {
        return Err(Problem::unsupported_media_type(format!("expected {FORM}")).into());
    }
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let fields = web::Query::<Vec<(String, String)>>::from_query(text);
    Ok(fields.map_err(|error| Problem::invalid("body", error.to_string()))?.into_inner())
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(each, _)| each == name).map_or("", |(_, value)| value)
}

/// The language that the browser prefers, of those that there are.
fn language(request: &HttpRequest) -> Language {
    let header =
        request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut best = (Language::En, 0.0);
    for range in header.split(',') {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse).unwrap_or(0.0);
        let language = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().parse();
        if let Ok(language) = language
            && quality > best.1
        {
            best = (language, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_language_is_the_one_that_the_browser_prefers() {
        for (header, expected) in [
            ("", Language::En),
            ("de", Language::De),
            ("de-AT,de;q=0.9,en;q=0.8", Language::De),
            ("fr, en;q=0.5, de;q=0.7", Language::De),
            ("en-GB,de;q=0.9", Language::En),
            ("fr", Language::En),
            ("de;q=0", Language::En),
            ("de;q=nonsense", Language::En),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_LANGUAGE, header)).to_http_request();
            assert_eq!(language(&request), expected, "{header}");
        }
    }
}
