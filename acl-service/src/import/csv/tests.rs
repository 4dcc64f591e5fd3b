//! How the columns of a file are determined, and what happens if they cannot be.

use proptest::prelude::*;

use super::*;

const STATION: &str = "123e4567-e89b-12d3-a456-426614174000";
const TOKEN: &str = "valid_driver_token_12345";
const UNTIL: &str = "2031-01-01T00:00:00Z";

/// The result of a line: fields, nothing, a rejected line, or the reason why nothing more can be read.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Entry { token: String, from: String, until: String },
    Nothing,
    Refused(&'static str),
    Ended(BadHeader),
}

fn entry(from: &str, until: &str) -> Seen {
    Seen::Entry { token: TOKEN.to_owned(), from: from.to_owned(), until: until.to_owned() }
}

fn read(csv: &mut Csv, line: &str) -> Seen {
    match csv.read(line) {
        Ok(None) => Seen::Nothing,
        Ok(Some(fields)) => {
            assert_eq!(fields.station_id, STATION);
            let Fields { driver_token: token, from, until, .. } = fields;
            Seen::Entry { token, from: from.unwrap_or_default(), until: until.unwrap_or_default() }
        }
        Err(Rejected::Line(refusal)) => Seen::Refused(refusal.field),
        Err(Rejected::Import(bad)) => Seen::Ended(bad),
    }
}

/// The result of the last of these lines.
fn last(lines: &[&str]) -> Seen {
    let mut csv = Csv::default();
    let (last, before) = lines.split_last().unwrap();
    for line in before {
        assert_eq!(read(&mut csv, line), Seen::Nothing, "{line} of {lines:?}");
    }
    read(&mut csv, last)
}

#[test]
fn the_first_line_that_says_anything_decides_the_columns() {
    for lines in [
        &["station_id;driver_token;until"][..],
        &["sep=;", "station_id;driver_token;until"],
        &["SEP=;;;", "station_id;driver_token;until"],
        &["\u{feff}sep=;", "Station_ID;DRIVER_TOKEN; Until "],
        &["\u{feff}station_id;driver_token;until"],
        &["", "# exported", ";;;", "\u{feff}", "station_id;driver_token;until"],
        &["\"station_id\";\" driver_token \";\"UNTIL\""],
        &["station_id;driver_token;until;"],
        &["station_id;driver_token;until; ;\"\";"],
        &["#station_id;driver_token;until"],
        &["# Station_Id ; Driver_Token ; until"],
    ] {
        for end in ["", ";", "; ;"] {
            let line = format!("{STATION};\"{TOKEN}\"; {UNTIL}{end}");
            let lines = [lines, &[&line]].concat();
            assert_eq!(last(&lines), entry("", UNTIL), "{lines:?}");
        }
    }
    for (header, line, expected) in [
        ("until,driver_token,station_id", format!("{UNTIL},{TOKEN},{STATION}"), entry("", UNTIL)),
        ("driver_token|until|from|station_id", format!("{TOKEN}||{UNTIL}|{STATION}"), entry(UNTIL, "")),
        ("until\tstation_id\tdriver_token", format!("\t{STATION}\t{TOKEN}"), entry("", "")),
        ("sep=\\t", format!("{STATION}\t{TOKEN}\t\t{UNTIL}"), entry("", UNTIL)),
        ("sep=|", format!("{STATION}|{TOKEN}|{UNTIL}"), entry(UNTIL, "")),
        ("# who may charge", format!("{STATION},{TOKEN},,{UNTIL}"), entry("", UNTIL)),
    ] {
        assert_eq!(last(&[header, &line]), expected, "{header}");
    }
}

#[test]
fn a_header_that_is_not_understood_ends_the_import_and_names_the_column() {
    let name = |text: &str| ColumnName::Name(text.to_owned());
    for (header, bad) in [
        ("station_id,driver_token,untill", BadHeader::Unknown(name("untill"))),
        ("station_id,driver_token,until,name", BadHeader::Unknown(name("name"))),
        (
            "station_id,driver_token,valid_until_and_not_longer",
            BadHeader::Unknown(name("valid_until_and_not_longer")),
        ),
        ("station_id,,driver_token", BadHeader::Unknown(ColumnName::Empty(2))),
        ("station,token,until", BadHeader::Unknown(name("station"))),
        ("Station ID;Token", BadHeader::Neither(name("Station ID"))),
        ("station_id:driver_token", BadHeader::Neither(name("station_id:driver_token"))),
        ("station_id,driver_token,until,Until", BadHeader::Twice("until")),
        ("station_id,until", BadHeader::Missing("driver_token")),
        ("driver_token", BadHeader::Missing("station_id")),
        ("sep=", BadHeader::Separator),
        ("sep=:", BadHeader::Separator),
        ("sep=;,", BadHeader::Separator),
        ("# station_id,driver_token,untill", BadHeader::Unknown(name("untill"))),
        (&format!("{TOKEN},{STATION}"), BadHeader::Neither(ColumnName::Hidden(1))),
        (&format!("7,{TOKEN}"), BadHeader::Neither(name("7"))),
    ] {
        assert_eq!(last(&["# a comment", "", header]), Seen::Ended(bad), "{header}");
    }
    for header in ["\"station_id;driver_token;until\"", "station_id,\"driver_token", "{\"station_id\": 1}"] {
        assert!(matches!(last(&[header]), Seen::Ended(BadHeader::Unreadable(_))), "{header}");
    }
    assert!(matches!(last(&["sep=;", "station_id,driver_token"]), Seen::Ended(BadHeader::Neither(_))));
}

#[test]
fn a_bad_line_is_refused_alone_once_the_columns_are_known() {
    let header = "station_id,driver_token,until";
    for line in [
        format!("{STATION},{TOKEN},,{UNTIL}"),
        format!("{STATION},{TOKEN},{UNTIL},{UNTIL}"),
        format!("{STATION};{TOKEN};{UNTIL}"),
        format!("{STATION},\"{TOKEN}"),
        STATION.to_owned(),
    ] {
        assert_eq!(last(&[header, &line]), Seen::Refused("line"), "{line}");
    }
}

#[test]
fn files_that_were_joined_are_each_read_in_their_own_columns() {
    let mut csv = Csv::default();
    let line = format!("{STATION},{TOKEN},{UNTIL}");
    for (header, expected) in [
        ("station_id,driver_token,from,until", entry(UNTIL, "")),
        ("station_id,driver_token,until", entry("", UNTIL)),
        ("\u{feff}Station_id,driver_token,from", entry(UNTIL, "")),
        ("station_id,driver_token,until", entry("", UNTIL)),
        ("\u{feff}# and one without a header", entry(UNTIL, "")),
    ] {
        assert_eq!(read(&mut csv, header), Seen::Nothing);
        assert_eq!(read(&mut csv, &line), expected, "{header}");
    }
    let misspelt = Seen::Ended(BadHeader::Unknown(ColumnName::Name("untill".to_owned())));
    assert_eq!(read(&mut csv, "station_id,driver_token,untill"), misspelt);
    assert!(matches!(
        read(&mut csv, "\"station_id,\"driver_token\",until"),
        Seen::Ended(BadHeader::Unreadable(_))
    ));
}

#[test]
fn a_part_of_a_file_is_read_as_in_the_whole_file_once_the_header_stands_before_it() {
    for lines in [
        &["sep=;"][..],
        &["sep=;", "Station_ID;driver_token;until"],
        &["# a comment", "until\tdriver_token\tstation_id"],
        &["123e4567-e89b-12d3-a456-426614174000|valid_driver_token_12345"],
    ] {
        let mut whole = Csv::default();
        for line in lines {
            whole.read(line).unwrap_or_else(|rejected| panic!("{rejected:?}"));
        }
        let mut part = Csv::default();
        assert_eq!(read(&mut part, &whole.header()), Seen::Nothing);
        assert_eq!(part, whole);
    }
    assert_eq!(Csv::default().header(), "");
}

proptest! {
    #[test]
    fn no_entry_is_read_in_other_columns_than_the_header_says(
        order in Just(["station_id", "driver_token", "from", "until"]).prop_shuffle(),
        taken in 2usize..5,
        separator in prop::sample::select(&SEPARATORS[..]),
        upper: bool,
        damage in "[a-z_]{0,3}",
    ) {
        let columns: Vec<String> = order[..taken].iter().map(|name| if upper { name.to_uppercase() } else { (*name).to_owned() }).collect();
        let value = |name: &str| match name.to_lowercase().as_str() {
            "station_id" => STATION.to_owned(),
            "driver_token" => TOKEN.to_owned(),
            name => format!("{name} at"),
        };
        let sign = separator.to_string();
        let row = columns.iter().map(|name| value(name)).collect::<Vec<_>>().join(&sign);
        let complete = NEEDED.iter().all(|name| order[..taken].contains(name));
        let mut csv = Csv::default();
        let header = columns.join(&sign) + &damage;
        match read(&mut csv, &header) {
            Seen::Nothing => {
                prop_assert!(complete && damage.is_empty());
                let named = |name: &str| if order[..taken].contains(&name) { value(name) } else { String::new() };
                prop_assert_eq!(read(&mut csv, &row), entry(&named("from"), &named("until")));
            }
            Seen::Ended(_) => prop_assert!(!complete || !damage.is_empty()),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
