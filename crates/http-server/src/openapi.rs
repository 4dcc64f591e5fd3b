//! A service's OpenAPI 3.1 document: the annotations of its handlers, completed from its list of resources with the
//! required scopes and the common error responses.

mod answers;
mod page;
pub mod refusals;
pub mod rights;

use std::collections::BTreeSet;

use common::api_key::Scope;
use common::role::Role;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, OpenApi, RefOr, Required};

pub use self::answers::Answers;
pub(crate) use self::page::{Text, publish};
use crate::problem::{Body, kind};
use crate::resource::Resource;
use crate::{Access, health, observation};

const BEARER: &str = "bearer";
const API_KEY: &str = "api_key";
const ACCOUNT: &str = "account";

/// The parts that every service shares.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(health::alive, observation::scrape, page::from_root, page::document, page::to_page, page::file),
    components(schemas(Body<'_>)),
    tags((name = "service", description = "Health, metrics and this document"))
)]
struct OfEveryService;

/// The resources that the server adds to every service.
fn of_every_service() -> Vec<Resource> {
    page::resources().into_iter().chain([observation::metrics()]).collect()
}

/// The document of a service with these annotations and resources.
pub fn document(annotations: OpenApi, resources: &[Resource]) -> OpenApi {
    let mut document = annotations.merge_from(OfEveryService::openapi());
    for resource in of_every_service().iter().chain(resources) {
        let Some(item) = document.paths.paths.get_mut(&resource.name()) else { continue };
        for (method, access) in resource.methods() {
            let answers_as_get = (method == "HEAD").then(|| item.get.as_ref().map(answers::head)).flatten();
            let Some(slot) = operation(item, method) else { continue };
            *slot = slot.take().or(answers_as_get).map(|operation| guarded(operation, access));
            if let Some(operation) = slot {
                headers_are_text(operation);
            }
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    components.responses.extend(answers::components());
    components.headers.extend(answers::shared_headers());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("vg_<id>_<secret>");
    let has_accounts = resources.iter().flat_map(Resource::methods).any(|(_, access)| access.is_granted());
    let admin = if has_accounts { "platform:admin" } else { "admin" };
    let about = format!(
        "An API key, where keys are required. A key with the scope `{admin}` may be used for every call."
    );
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.description(Some(about)).build()));
    let header = ApiKeyValue::with_description("X-API-Key", "The same key in a header of its own");
    components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(header)));
    if has_accounts {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let about = "The access token of an account. A requirement lists the roles that it accepts.";
        components.add_security_scheme(ACCOUNT, SecurityScheme::Http(token.description(Some(about)).build()));
    }
    document
}

/// The annotation of an optional parameter says that it may be null, which a header cannot be.
fn headers_are_text(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Header
            && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
            && let SchemaType::Array(types) = &object.schema_type
            && types.contains(&Type::String)
        {
            object.schema_type = SchemaType::Type(Type::String);
        }
    }
}

/// Makes the bodies of these operations optional. An annotation can only do so together with a body that is `null`,
/// which generated clients fail on.
pub fn without_required_body(document: &mut OpenApi, operation_ids: &[&str]) {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| [&mut item.post, &mut item.put, &mut item.delete]).flatten();
    for operation in operations {
        let named = operation.operation_id.as_deref().is_some_and(|id| operation_ids.contains(&id));
        if let Some(RefOr::T(body)) = operation.request_body.as_mut().filter(|_| named) {
            body.required = Some(Required::False);
        }
    }
}

/// Where a document and a list of resources differ: the methods and paths that only one of them has.
pub fn differences(document: &OpenApi, resources: &[Resource]) -> Vec<String> {
    let registered = of_every_service();
    let registered = registered.iter().chain(resources);
    let registered: BTreeSet<String> = registered
        .flat_map(|resource| {
            let name = resource.name();
            resource.methods().map(move |(method, _)| format!("{method} {name}"))
        })
        .collect();
    let mut documented = BTreeSet::new();
    for (path, item) in &document.paths.paths {
        let mut item = item.clone();
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
        let has = |method: &&str| operation(&mut item, method).is_some_and(|slot| slot.is_some());
        documented.extend(methods.into_iter().filter(has).map(|method| format!("{method} {path}")));
    }
    registered.symmetric_difference(&documented).cloned().collect()
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Option<Operation>> {
    Some(match method {
        "GET" => &mut item.get,
        "HEAD" => &mut item.head,
        "POST" => &mut item.post,
        "PUT" => &mut item.put,
        "PATCH" => &mut item.patch,
        "DELETE" => &mut item.delete,
        "OPTIONS" => &mut item.options,
        "TRACE" => &mut item.trace,
        _ => return None,
    })
}

/// Adds the responses that are sent before the handler runs.
fn guarded(mut operation: Operation, access: Access) -> Operation {
    let answers = &mut operation.responses.responses;
    // For a path that is too long.
    answers::add(answers, &kind::INVALID);
    if access == Access::Open {
        operation.security = Some(Vec::new());
        return operation;
    }
    for answer in answers.values_mut() {
        if let RefOr::T(answer) = answer {
            answer.headers.extend(answers::rate_limit());
        }
    }
    for kind in [&kind::UNAUTHORIZED, &kind::TOO_MANY_REQUESTS, &kind::UNAVAILABLE] {
        answers::add(answers, kind);
    }
    let (roles, scopes, name) = match access {
        Access::With(scopes) => (&[][..], scopes, None),
        Access::Granted(permission) => (permission.roles, permission.scopes, Some(permission.name)),
        Access::Open | Access::Public | Access::Anonymous => {
            // No requirement: the operation has none of its own.
            operation.security = Some(Vec::new());
            return operation;
        }
    };
    answers::add(&mut operation.responses.responses, &kind::FORBIDDEN);
    let schemes = [BEARER, API_KEY].into_iter();
    let requirement = |scheme, scope: &Scope| SecurityRequirement::new(scheme, [scope.as_str()]);
    let by_account = (!roles.is_empty())
        .then(|| SecurityRequirement::new(ACCOUNT, roles.iter().map(|role| role.as_str())));
    let by_key = schemes.flat_map(|scheme| scopes.iter().map(move |scope| requirement(scheme, scope)));
    operation.security = Some(by_account.into_iter().chain(by_key).collect());
    let required = required(name, roles, scopes);
    operation.description = Some(match operation.description {
        Some(description) => format!("{description}\n\n{required}"),
        None => required,
    });
    operation
}

/// The requirement again, as sentences: the page does not show that of the security requirement.
fn required(permission: Option<&str>, roles: &[Role], scopes: &[Scope]) -> String {
    let mut sentences = Vec::new();
    if let Some(name) = permission {
        sentences.push(format!("Permission: {name}."));
    }
    if !roles.is_empty() {
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        sentences.push(format!("For accounts with the role {}.", names.join(", ")));
    }
    if !scopes.is_empty() {
        let names: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
        sentences.push(format!("An API key needs the scope {}.", names.join(" or ")));
    }
    sentences.join(" ")
}
