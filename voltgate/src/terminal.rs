//! Colours, on a terminal only.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

fn only_on_terminal(style: Style) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { style } else { Style::new() }
}

/// Prints a line of a list; `false` when nobody reads any more, as behind `| head`.
pub(crate) fn line(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// For headings.
pub(crate) fn bold() -> Style {
    only_on_terminal(Style::new().bold())
}

/// For what went well.
pub(crate) fn good() -> Style {
    only_on_terminal(AnsiColor::Green.on_default())
}

/// For what did not.
pub(crate) fn bad() -> Style {
    only_on_terminal(AnsiColor::Red.on_default())
}

/// For what may have to be looked at.
pub(crate) fn caution() -> Style {
    only_on_terminal(AnsiColor::Yellow.on_default())
}

/// For what is beside the point.
pub(crate) fn faint() -> Style {
    only_on_terminal(Style::new().dimmed())
}
