//! The platform's database: whether it answers, accepts changes, persists them, and has the same time as this machine.

use charging::DatabaseConfig;
use charging::db::diagnostics::{DatabaseFacts, PostgresFacts, administrators, examine};
use charging::settings::{DATABASE_CONNECTIONS, DATABASE_URL};
use service_runtime::settings::Settings;

use super::finding::Finding;

/// The oldest version with security fixes (2026).
const OLDEST: i64 = 14;
/// Ends of leases pass from one machine to another.
const MAX_SKEW_MS: i64 = 500;

/// Nothing if no database is set: the platform is not used then.
pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let Ok(Some(config)) = DatabaseConfig::from_settings(settings) else { return Vec::new() };
    let at = config.url().to_string();
    let mut findings = match examine(&config).await {
        Ok(DatabaseFacts::Postgres(facts)) => judge(&facts, &at, settings),
        Ok(DatabaseFacts::Embedded { exists: true }) => {
            vec![Finding::ok("database", format!("a SQLite file, {at}"))]
        }
        Ok(DatabaseFacts::Embedded { exists: false }) => {
            let remedy = "`voltgate up` of this version creates it; until then there is no platform";
            vec![Finding::warning("database", format!("there is none at {at}"), remedy)]
        }
        Err(error) => vec![Finding::failure(
            "database",
            format!("{at} cannot be used: {error}"),
            "start PostgreSQL, or correct DATABASE_URL, its password or its database",
        )],
    };
    // A database without these tables is another finding.
    if let Ok(count) = administrators(&config).await {
        findings.push(judge_administrators(count));
    }
    findings
}

fn judge_administrators(count: i64) -> Finding {
    match count {
        0 => Finding::warning(
            "administrators",
            "there is none: roles can be changed by a key with platform:admin only".to_owned(),
            "`voltgate users create --admin NAME`, or set PLATFORM_ADMIN_USERNAME and PLATFORM_ADMIN_PASSWORD",
        ),
        count => Finding::ok("administrators", count.to_string()),
    }
}

fn judge(facts: &PostgresFacts, at: &str, settings: &Settings) -> Vec<Finding> {
    let PostgresFacts { version, .. } = facts;
    let mut findings = vec![match (facts.is_replica, facts.major) {
        (true, _) => Finding::failure(
            "database",
            format!("PostgreSQL {version} at {at} is a replica and accepts no changes"),
            "name the primary in DATABASE_URL",
        ),
        (false, major) if major < OLDEST => Finding::warning(
            "database",
            format!("PostgreSQL {version} at {at} is older than {OLDEST}"),
            "upgrade it: it gets no more security fixes",
        ),
        _ => Finding::ok("database", format!("PostgreSQL {version} at {at}")),
    }];
    findings.push(match facts.tables {
        Some(tables) => Finding::ok("database tables", format!("version {tables}")),
        None => Finding::warning(
            "database tables",
            format!("{} names a database without the platform's tables", DATABASE_URL.name),
            "start platform-api: it creates them",
        ),
    });
    if !facts.is_durable {
        findings.push(Finding::warning(
            "database durability",
            "a commit does not wait for the disk, so that a crash loses what was answered".to_owned(),
            "set `fsync = on` and `synchronous_commit = on`",
        ));
    }
    let ours = settings.number(&DATABASE_CONNECTIONS, 2..=1000).unwrap_or_default();
    if i64::try_from(ours).is_ok_and(|ours| ours * 2 > facts.max_connections) {
        findings.push(Finding::warning(
            "database connections",
            format!("max_connections is {}, and each process may open {ours}", facts.max_connections),
            "raise max_connections, or lower DATABASE_CONNECTIONS",
        ));
    }
    let ahead = facts.clock_ahead_ms;
    findings.push(if ahead.abs() > MAX_SKEW_MS {
        let remedy = "synchronize the clocks (NTP)";
        Finding::warning("database clock", format!("{ahead} ms ahead of this machine's"), remedy)
    } else {
        Finding::ok("database clock", format!("{ahead} ms ahead of this machine's"))
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn facts() -> PostgresFacts {
        PostgresFacts {
            version: "15.20".to_owned(),
            major: 15,
            is_replica: false,
            is_durable: true,
            max_connections: 100,
            tables: Some(1),
            clock_ahead_ms: 3,
        }
    }

    #[test]
    fn a_platform_without_an_administrator_is_named() {
        assert_eq!(judge_administrators(0).severity, Severity::Warning);
        assert_eq!(judge_administrators(1).severity, Severity::Ok);
    }

    #[test]
    fn each_fault_of_a_database_is_found() {
        let found = |facts: &PostgresFacts| {
            let findings = judge(facts, "postgres://host/x", &Settings::default());
            let bad = findings.iter().filter(|finding| finding.severity != Severity::Ok);
            bad.map(|finding| finding.check.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&facts()), Vec::<&str>::new());
        for (check, facts) in [
            ("database", PostgresFacts { is_replica: true, ..facts() }),
            ("database", PostgresFacts { major: 12, ..facts() }),
            ("database tables", PostgresFacts { tables: None, ..facts() }),
            ("database durability", PostgresFacts { is_durable: false, ..facts() }),
            ("database connections", PostgresFacts { max_connections: 15, ..facts() }),
            ("database clock", PostgresFacts { clock_ahead_ms: -900, ..facts() }),
        ] {
            assert_eq!(found(&facts), [check]);
        }
    }
}
