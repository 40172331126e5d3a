//! What the front must know of a statement's text: no parser, only its bare words.
//!
//! Strings, quoted names and comments are passed over, so a word in the answer is one that SQLite
//! reads as a keyword or a plain name.

/// PRAGMAs that read, or that change nothing outside the connection.
const PRAGMAS: [&str; 27] = [
    "application_id",
    "case_sensitive_like",
    "collation_list",
    "compile_options",
    "database_list",
    "defer_foreign_keys",
    "delete_database",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "optimize",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "recursive_triggers",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// PRAGMAs that may be set; they are stored in the database as any row is.
const STORED_PRAGMAS: [&str; 2] = ["user_version", "schema_version"];

/// Why a text must not reach the engine, if so.
pub fn refusal(sql: &str) -> Option<String> {
    let mut words = Words::new(sql).peekable();
    let mut first = true;
    while let Some(word) = words.next() {
        if word == ";" {
            first = true;
            continue;
        }
        // What is explained is compiled, and some PRAGMAs act then.
        let prefix = ["explain", "query", "plan"];
        if first && prefix.iter().any(|p| word.eq_ignore_ascii_case(p)) {
            continue;
        }
        if std::mem::take(&mut first) {
            if word.eq_ignore_ascii_case("attach") || word.eq_ignore_ascii_case("detach") {
                return Some("ATTACH and DETACH are not supported".into());
            }
            if word.eq_ignore_ascii_case("pragma") {
                let mut name = words.next().unwrap_or_default();
                if words.peek() == Some(&".") {
                    words.next();
                    name = words.next().unwrap_or_default();
                }
                let known = PRAGMAS.iter().chain(&STORED_PRAGMAS);
                if !known.into_iter().any(|k| k.eq_ignore_ascii_case(name)) {
                    return Some(format!("PRAGMA {name} is not supported"));
                }
            }
        }
    }
    None
}

/// Whether a statement has a RETURNING clause: its rows must be asked for with QUERY.
pub fn returns_rows_of_a_write(sql: &str) -> bool {
    Words::new(sql).any(|word| word.eq_ignore_ascii_case("returning"))
}

/// Bare words, and the marks `;` and `.`.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    fn skip_past(&mut self, start: usize, end: &str) {
        let found = self.rest[start..].find(end);
        self.rest = found.map_or("", |at| &self.rest[start + at + end.len()..]);
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let c = self.rest.chars().next()?;
            if self.rest.starts_with("--") {
                self.skip_past(2, "\n");
            } else if self.rest.starts_with("/*") {
                self.skip_past(2, "*/");
            } else if let Some(quote) = match c {
                '\'' => Some("'"),
                '"' => Some("\""),
                '`' => Some("`"),
                '[' => Some("]"),
                _ => None,
            } {
                // A doubled quote inside reads as the end and a new start, which comes to the same.
                self.skip_past(1, quote);
            } else if c.is_alphabetic() || c == '_' {
                let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let end = self
                    .rest
                    .find(|c| !part_of_word(c))
                    .unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Some(word);
            } else {
                let (mark, rest) = self.rest.split_at(c.len_utf8());
                self.rest = rest;
                if matches!(mark, ";" | ".") {
                    return Some(mark);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returning_is_seen_where_sqlite_sees_it() {
        for sql in [
            "INSERT INTO t VALUES (1) RETURNING n",
            "insert into t values ('a;b')\nreturning/**/n",
            "DELETE FROM t WHERE s = 'it''s' RETURNING *",
        ] {
            assert!(returns_rows_of_a_write(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES ('RETURNING')",
            "INSERT INTO t VALUES (1) -- RETURNING n",
            "INSERT INTO \"returning\" VALUES (1) /* returning */",
            "INSERT INTO [returning] VALUES (1)",
            "SELECT not_returning, returning_ FROM t",
        ] {
            assert!(!returns_rows_of_a_write(sql), "{sql}");
        }
    }

    #[test]
    fn pragmas_outside_the_list_and_attach_are_refused() {
        for sql in [
            "PRAGMA journal_mode=delete",
            "SELECT 1; pragma wal_checkpoint",
            "PRAGMA main.journal_mode",
            "EXPLAIN PRAGMA journal_mode=delete",
            "explain query plan attach 'x' as y",
            "ATTACH 'x' AS y",
            "/* x */ attach database ':memory:' as m",
            "PRAGMA \"journal_mode\" = delete",
        ] {
            assert!(refusal(sql).is_some(), "{sql}");
        }
        for sql in [
            "PRAGMA table_info(t)",
            "pragma main.user_version = 7",
            "SELECT 'PRAGMA journal_mode'",
            "CREATE TABLE attach_log (pragma_name)",
            "",
        ] {
            assert_eq!(refusal(sql), None, "{sql}");
        }
    }
}
