//! Matches nodes by pattern, as kombu does: a command may name its nodes so.

use regex_lite::{Regex, RegexBuilder};

/// The maximum length of a pattern, and the maximum size that it may compile to. Matching takes time proportional to
/// the length of the node's name.
const MAX_PATTERN: usize = 1000;
const MAX_COMPILED: usize = 100_000;

/// Whether the pattern matches the node. `false` if the pattern or the matcher is invalid.
pub(super) fn matches(node: &str, pattern: &str, matcher: &str) -> bool {
    if pattern.len() > MAX_PATTERN {
        return false;
    }
    let regex = match matcher {
        "glob" => compiled(&format!("^(?s:{})$", translated(pattern))),
        // Python's `match` starts at the beginning of the text and need not reach its end.
        "pcre" => compiled(&format!("^(?:{pattern})")),
        _ => None,
    };
    regex.is_some_and(|regex| regex.is_match(node))
}

fn compiled(pattern: &str) -> Option<Regex> {
    let regex = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    regex.inspect_err(|error| tracing::debug!(%error, "a pattern cannot be used")).ok()
}

/// Translates a file name pattern (`*`, `?`, `[abc]`, `[!abc]`) to a regular expression.
fn translated(glob: &str) -> String {
    let mut regex = String::new();
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            // A closing bracket at the start of the set belongs to the set.
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
