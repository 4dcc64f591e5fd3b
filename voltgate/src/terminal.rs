//! Colours, used on a terminal only.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

fn only_on_terminal(style: Style) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { style } else { Style::new() }
}

/// Prints a line of a list; returns `false` if the output is closed, as after `| head`.
pub(crate) fn line(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// For headings.
pub(crate) fn bold() -> Style {
    only_on_terminal(Style::new().bold())
}

/// For successes.
pub(crate) fn good() -> Style {
    only_on_terminal(AnsiColor::Green.on_default())
}

/// For failures.
pub(crate) fn bad() -> Style {
    only_on_terminal(AnsiColor::Red.on_default())
}

/// For warnings.
pub(crate) fn caution() -> Style {
    only_on_terminal(AnsiColor::Yellow.on_default())
}

/// For secondary details.
pub(crate) fn faint() -> Style {
    only_on_terminal(Style::new().dimmed())
}
