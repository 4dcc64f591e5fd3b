//! Which nodes a command is for, where it names them by a pattern: as kombu matches it.

use regex_lite::{Regex, RegexBuilder};

/// A pattern may be this long, and compile to this many bytes. Matching takes time in proportion to the node's name.
const MAX_PATTERN: usize = 1000;
const MAX_COMPILED: usize = 100_000;

/// Whether the pattern matches the node; never, where pattern or matcher cannot be used.
pub(super) fn matches(node: &str, pattern: &str, matcher: &str) -> bool {
    if pattern.len() > MAX_PATTERN {
        return false;
    }
    let regex = match matcher {
        "glob" => compiled(&format!("^(?s:{})$", translated(pattern))),
        // Python's `match` begins where the text begins, and need not reach its end.
        "pcre" => compiled(&format!("^(?:{pattern})")),
        _ => None,
    };
    regex.is_some_and(|regex| regex.is_match(node))
}

fn compiled(pattern: &str) -> Option<Regex> {
    let regex = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    regex.inspect_err(|error| tracing::debug!(%error, "a pattern cannot be used")).ok()
}

/// A pattern of file names (`*`, `?`, `[abc]`, `[!abc]`) as a regular expression.
fn translated(glob: &str) -> String {
    let mut regex = String::new();
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            // A bracket first in the set belongs to it.
            '[' => match rest.char_indices().skip(1).find(|(_, letter)| *letter == ']') {
                Some((end, _)) => {
                    let set = rest[..end].replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
                    let set = set.strip_prefix('!').map_or(set.clone(), |negated| format!("^{negated}"));
                    regex.push_str(&format!("[{set}]"));
                    rest = &rest[end + 1..];
                }
                None => regex.push_str("\\["),
            },
            other => regex.push_str(&regex_lite::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_kombu() {
        for (pattern, matcher, matched) in [
            ("*", "glob", true),
            ("w?@*", "glob", true),
            ("w[0-9]@h.x", "glob", true),
            ("w[!1]@*", "glob", false),
            ("w1@h", "glob", false),
            ("w1@h?x", "glob", true),
            ("[", "glob", false),
            ("w[12", "glob", false),
            ("w\\d@", "pcre", true),
            ("\\d@", "pcre", false),
            ("a|w", "pcre", true),
            ("(", "pcre", false),
            ("w", "perl", false),
        ] {
            assert_eq!(matches("w1@h.x", pattern, matcher), matched, "{matcher} {pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        let began = std::time::Instant::now();
        let node = "a".repeat(200);
        assert!(!matches(&node, "(((a{1,100}){1,100}){1,100}){1,100}$", "pcre"));
        assert!(!matches(&node, &"(a*)*".repeat(150), "glob"));
        assert!(!matches(&node, &"x".repeat(MAX_PATTERN + 1), "pcre"));
        assert!(!matches(&node, "(a*)*b", "pcre"));
        assert!(began.elapsed().as_secs() < 2);
    }
}
