//! Both databases have the same tables, and understand every statement.

use std::collections::BTreeSet;
use std::path::Path;

use charging::{Db, DbError, STATEMENTS, Tx};
use sqlx::{Executor, SqlSafeStr};

use crate::databases::{each_database, is_postgres, on};

const POSTGRES_COLUMNS: &str = "SELECT format('%s.%s %s%s', c.relname, a.attname, format_type(a.atttypid, NULL), \
        CASE WHEN a.attnotnull THEN ' not null' ELSE '' END) \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped";
const POSTGRES_KEYS: &str = "SELECT format('%s %s (%s)', k.conrelid::regclass, \
        CASE k.contype WHEN 'p' THEN 'primary key' ELSE 'unique' END, \
        (SELECT string_agg(a.attname, ', ' ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place) \
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum)) \
     FROM pg_constraint k WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u')";
const POSTGRES_REFERENCES: &str = "SELECT format('%s.%s references %s%s', k.conrelid::regclass, a.attname, \
        k.confrelid::regclass, CASE k.confdeltype WHEN 'c' THEN ' on delete cascade' ELSE '' END) \
     FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
     WHERE k.connamespace = 'public'::regnamespace AND k.contype = 'f'";
const POSTGRES_INDEXES: &str = "SELECT format('%s: %s (%s)%s', c.relname, i.indrelid::regclass, \
        (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid), \
        CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END) \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
     WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisunique";

const SQLITE_COLUMNS: &str = "SELECT format('%s.%s %s%s', t.name, c.name, c.type, \
        CASE WHEN c.\"notnull\" OR (c.pk = 1 AND c.type = 'INTEGER') THEN ' not null' ELSE '' END) \
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
const SQLITE_KEYS: &str = "SELECT format('%s %s (%s)', t.name, CASE i.origin WHEN 'pk' THEN 'primary key' ELSE 'unique' END, \
        (SELECT group_concat(name, ', ' ORDER BY seqno) FROM pragma_index_info(i.name))) \
     FROM sqlite_schema t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin IN ('pk', 'u') \
     UNION ALL SELECT format('%s primary key (%s)', t.name, c.name) \
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c.pk = 1 AND c.type = 'INTEGER'";
const SQLITE_REFERENCES: &str = "SELECT format('%s.%s references %s%s', t.name, f.\"from\", f.\"table\", \
        CASE f.on_delete WHEN 'CASCADE' THEN ' on delete cascade' ELSE '' END) \
     FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'";
const SQLITE_INDEXES: &str = "SELECT format('%s: %s (%s)%s', i.name, t.name, \
        (SELECT group_concat(name, ', ' ORDER BY seqno) FROM pragma_index_info(i.name)), \
        CASE i.partial WHEN 0 THEN '' ELSE ' partial' END) \
     FROM sqlite_schema t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'c'";

/// A type of PostgreSQL, and the one of SQLite that holds the same.
const TYPES: [(&str, &str); 7] = [
    ("uuid", "BLOB"),
    ("bytea", "BLOB"),
    ("text", "TEXT"),
    ("jsonb", "TEXT"),
    ("bigint", "INTEGER"),
    ("boolean", "INTEGER"),
    ("timestamp with time zone", "INTEGER"),
];

#[tokio::test]
async fn every_statement_is_understood() {
    each_database(async |db| {
        for (module, statements) in STATEMENTS {
            for (name, text) in *statements {
                let prepared = db.read(async |tx| prepare(tx, text).await).await;
                assert!(prepared.is_ok(), "{module} {name}: {prepared:?}");
            }
        }
    })
    .await;
}

async fn prepare(tx: &mut Tx, text: &'static str) -> Result<(), DbError> {
    on!(tx, |c| c.prepare(text.into_sql_str()).await.map(drop))?;
    Ok(())
}

#[test]
fn every_module_with_statements_is_in_the_list() {
    let count = modules_with_statements(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(count, STATEMENTS.len());
}

fn modules_with_statements(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let of_entry = |path: std::path::PathBuf| {
        if path.is_dir() {
            return modules_with_statements(&path);
        }
        let text = std::fs::read_to_string(path).unwrap();
        usize::from(text.lines().any(|line| line == "statements! {"))
    };
    entries.map(of_entry).sum()
}

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let found = std::sync::Mutex::new(Vec::new());
    each_database(async |db| {
        let tables = tables(db).await;
        found.lock().unwrap().push(tables);
    })
    .await;
    let [postgres, sqlite] = &found.into_inner().unwrap()[..] else { panic!("two databases") };
    let postgres: BTreeSet<String> = postgres.iter().map(|line| in_types_of_sqlite(line)).collect();
    assert!(postgres.contains("stations.charger TEXT") && postgres.contains("stations unique (charger)"));
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!((only(&postgres, sqlite), only(sqlite, &postgres)), (vec![], vec![]));
}

async fn tables(db: &Db) -> BTreeSet<String> {
    let lines = async |tx: &mut Tx| -> Result<BTreeSet<String>, DbError> {
        let statements = if is_postgres(tx) {
            [POSTGRES_COLUMNS, POSTGRES_KEYS, POSTGRES_REFERENCES, POSTGRES_INDEXES]
        } else {
            [SQLITE_COLUMNS, SQLITE_KEYS, SQLITE_REFERENCES, SQLITE_INDEXES]
        };
        let mut lines = BTreeSet::new();
        for statement in statements {
            let found: Vec<(String,)> = on!(tx, |c| sqlx::query_as(statement).fetch_all(c).await)?;
            lines.extend(found.into_iter().map(|(line,)| line));
        }
        // The tables of sqlx and of SQLite itself.
        lines.retain(|line| !line.contains("_sqlx_migrations") && !line.contains("sqlite_"));
        Ok(lines)
    };
    db.read(lines).await.unwrap()
}

fn in_types_of_sqlite(line: &str) -> String {
    let Some((column, kind)) = line.split_once(' ').filter(|(column, _)| column.contains('.')) else {
        return line.to_owned();
    };
    let known = TYPES.iter().find_map(|(from, to)| Some((to, kind.strip_prefix(from)?)));
    known.map_or_else(|| line.to_owned(), |(kind, rest)| format!("{column} {kind}{rest}"))
}
