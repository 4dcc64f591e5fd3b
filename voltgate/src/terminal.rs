//! Colours and widths, used on a terminal only.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use indicatif::ProgressBar;

/// A bar on standard error, which is cleared however the command ends.
pub(crate) struct Progress(pub(crate) ProgressBar);

impl Progress {
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn only_on_terminal(style: Style) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { style } else { Style::new() }
}

/// Prints a line of a list; returns `false` if the output is closed, as after `| head`.
pub(crate) fn line(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// The columns of the terminal; `None` if the output is a file or a pipe, whose lines are whole.
pub(crate) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The text, cut to this many columns; an ellipsis marks the cut.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
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
