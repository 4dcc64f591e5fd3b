//! Who may do what, written by hand from the contract of the platform. The code has a table of its own
//! (`permissions.rs`); a hole in one of the two is found by comparing the document with this one.

use common::api_key::Scope::{PlatformAdmin, PlatformOperate, PlatformRead};
use common::role::Role::{Admin, Driver, Host, Operator, Staff};
use http_server::openapi::rights::{Row, Who, deviations};
use http_server::{Access, Resource, resource};
use utoipa::OpenApi;

use super::Annotations;
use crate::permissions;
use crate::routes::resources;

const TABLE: &[Row] = &[
    // Health, metrics and the document.
    Row {
        who: Who::Anyone,
        operations: &[
            "GET /",
            "HEAD /",
            "* /healthz",
            "* /readyz",
            "* /metrics",
            "* /openapi.json",
            "* /docs",
            "* /docs/**",
            "GET /.well-known/jwks.json",
        ],
    },
    // Callers that have no account yet, or cannot get into it.
    Row {
        who: Who::Anyone,
        operations: &[
            "POST /api/auth/register/",
            "POST /api/auth/login/",
            "POST /api/auth/refresh/",
            "POST /api/auth/verify/",
            "POST /api/auth/reset/",
            "POST /api/auth/reset/confirm/",
            "* /verify",
            "* /reset",
            "GET /auth.js",
            "GET /auth.css",
        ],
    },
    // See locations, stations, slots, tariffs: prices and places are public.
    Row {
        who: Who::Anyone,
        operations: &[
            "GET /api/v1/locations",
            "GET /api/v1/locations/{}",
            "GET /api/v1/stations",
            "GET /api/v1/stations/{}",
            "GET /api/v1/evses/{}/slots",
            "GET /api/v1/tariffs",
            "GET /api/v1/tariffs/**",
            "GET /api/v1/plans",
            "GET /api/v1/plans/{}",
        ],
    },
    // Own account, vehicles, tokens.
    Row {
        who: Who::Only(&[Driver, Host, Staff, Operator, Admin], &[]),
        operations: &[
            "POST /api/auth/logout/",
            "POST /api/auth/verify/resend/",
            "* /api/v1/me",
            "* /api/v1/me/**",
        ],
    },
    // Fleets: the account that pays for one sees and manages it, and operators create them.
    Row {
        who: Who::Only(&[Driver, Host, Staff, Operator, Admin], &[PlatformOperate]),
        operations: &["GET /api/v1/fleets", "* /api/v1/fleets/**"],
    },
    // What happens, live: each sees a part of it.
    Row {
        who: Who::Only(&[Driver, Host, Staff, Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &["GET /api/v1/live", "GET /ws/live"],
    },
    // See what chargers have sent: staff at their own sites.
    Row {
        who: Who::Only(&[Staff, Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &["GET /api/v1/stations/{}/status-log"],
    },
    // The OCPP face, reading: staff at their own sites.
    Row {
        who: Who::Only(&[Staff, Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &[
            "GET /api/v1/chargers",
            "GET /api/v1/chargers/{}",
            "GET /api/v1/chargers/{}/certificate-request",
            "GET /api/v1/chargers/{}/messages",
            "GET /api/v1/chargers/{}/status-log",
            "GET /api/v1/transactions",
            "GET /api/v1/transactions/{}",
            "GET /api/v1/transactions/{}/meter-values",
            "GET /api/v1/commands",
            "GET /api/v1/commands/{}",
            "GET /api/chargers/",
        ],
    },
    // Start and stop, commands: staff at their own sites.
    Row {
        who: Who::Only(&[Staff, Operator, Admin], &[PlatformOperate]),
        operations: &["POST /api/v1/chargers/{}/**", "POST /api/chargers/start/{}/"],
    },
    // Adopting chargers, and what the chargers' contract marks `admin`.
    Row {
        who: Who::Only(&[Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &["GET /api/v1/unknown-chargers"],
    },
    Row {
        who: Who::Only(&[Operator, Admin], &[PlatformAdmin]),
        operations: &[
            "PUT /api/v1/chargers/{}",
            "PATCH /api/v1/chargers/{}",
            "DELETE /api/v1/chargers/{}",
            "PUT /api/v1/chargers/{}/credentials",
            "DELETE /api/v1/unknown-chargers/{}",
            "POST /api/v1/transactions/{}/close",
        ],
    },
    // Edit locations, stations, tariffs, plans, booking terms.
    Row {
        who: Who::Only(&[Operator, Admin], &[PlatformOperate]),
        operations: &[
            "POST /api/v1/locations",
            "PATCH /api/v1/locations/{}",
            "DELETE /api/v1/locations/{}",
            "POST /api/v1/stations",
            "PATCH /api/v1/stations/{}",
            "DELETE /api/v1/stations/{}",
            "POST /api/v1/network",
        ],
    },
    Row {
        who: Who::Only(&[Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &["GET /api/v1/network"],
    },
    // Access lists, groups, id tags.
    Row {
        who: Who::Only(&[Operator, Admin], &[PlatformOperate]),
        operations: &[
            "POST /api/v1/fleets",
            "PATCH /api/v1/fleets/{}",
            "DELETE /api/v1/fleets/{}",
            "* /api/v1/tokens",
            "* /api/v1/tokens/**",
            "* /api/v1/id-tags",
            "* /api/v1/id-tags/**",
            "* /api/v1/token-groups",
            "* /api/v1/token-groups/**",
            "* /api/v1/access-groups",
            "* /api/v1/access-groups/**",
            "* /api/v1/stations/{}/access",
            "* /api/v1/stations/{}/access/**",
        ],
    },
    // Audit, users (reading): staff at their own sites.
    Row {
        who: Who::Only(&[Staff, Operator, Admin], &[PlatformRead, PlatformOperate]),
        operations: &["GET /api/v1/users", "GET /api/v1/users/{}", "GET /api/v1/audit"],
    },
    // Users and roles, erasure of others.
    Row {
        who: Who::Only(&[Admin], &[PlatformAdmin]),
        operations: &["PATCH /api/v1/users/{}", "DELETE /api/v1/users/{}"],
    },
];

/// The deviations of a document that is made from these resources too. The last one of a path counts.
fn with(planted: Vec<Resource>) -> Vec<String> {
    let resources: Vec<Resource> = resources().into_iter().chain(planted).collect();
    let document = http_server::openapi::document(Annotations::openapi(), &resources);
    deviations(&serde_json::to_value(document).unwrap(), TABLE)
}

#[test]
fn each_route_admits_those_of_the_table_and_no_others() {
    assert_eq!(with(Vec::new()), Vec::<String>::new());
}

#[test]
fn a_route_that_is_opened_by_mistake_is_found() {
    const HOLES: [Access; 4] = [
        Access::Open,
        Access::Public,
        Access::Granted(permissions::OWN_ACCOUNT),
        Access::Granted(permissions::EXPORT_NETWORK),
    ];
    let planted: [&'static [(&'static str, Access)]; 4] =
        [&[("GET", HOLES[0])], &[("GET", HOLES[1])], &[("GET", HOLES[2])], &[("GET", HOLES[3])]];
    for methods in planted {
        let found = with(vec![resource("/api/v1/users", methods)]);
        assert!(
            found.len() == 1 && found[0].starts_with("GET /api/v1/users: admits"),
            "{methods:?}: {found:?}"
        );
    }
    let closed =
        with(vec![resource("/api/v1/locations", &[("GET", Access::Granted(permissions::SEE_USERS))])]);
    assert!(closed.len() == 1 && closed[0].starts_with("GET /api/v1/locations: admits"), "{closed:?}");
}

#[test]
fn a_route_that_the_table_does_not_have_is_found() {
    let is_of_users = |row: &&Row| row.operations.contains(&"PATCH /api/v1/users/{}");
    let table: Vec<Row> = TABLE.iter().filter(|row| !is_of_users(row)).copied().collect();
    let document = serde_json::to_value(super::document()).unwrap();
    let expected = ["DELETE", "PATCH"].map(|method| format!("{method} /api/v1/users/{{user_id}}: no row"));
    assert_eq!(deviations(&document, &table), expected);
}
