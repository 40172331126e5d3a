//! What must be known of a statement's text: no parser, only its bare words.
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

/// Why a text must not reach a server, if so: it would stop it, or change how it keeps its files.
#[must_use]
pub fn refusal(sql: &str) -> Option<String> {
    let mut words = Words::new(sql);
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
                let name = match pragma(words.rest) {
                    Some(name) => name,
                    None => return Some("a PRAGMA must be named without quotes".into()),
                };
                let known = PRAGMAS.iter().chain(&STORED_PRAGMAS);
                if !known.into_iter().any(|k| k.eq_ignore_ascii_case(name)) {
                    return Some(format!("PRAGMA {name} is not supported"));
                }
            }
        }
    }
    None
}

/// The name of a PRAGMA, behind the name of a database if there is one; only where both are bare words.
fn pragma(text: &str) -> Option<&str> {
    let bare = |text: &'_ str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let text = text.trim_start();
    let mut words = Words::new(text);
    let name = words.next().filter(|_| bare(text))?;
    match words.rest.trim_start().strip_prefix('.') {
        Some(rest) if bare(rest.trim_start()) => Words::new(rest).next(),
        Some(_) => None,
        None => Some(name),
    }
}

/// Whether a statement has a RETURNING clause: its rows must be asked for with QUERY.
#[must_use]
pub fn returns_rows_of_a_write(sql: &str) -> bool {
    Words::new(sql).any(|word| word.eq_ignore_ascii_case("returning"))
}

/// The statements of a text, each with its `;`.
pub fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        rest = skip_blank(rest);
        let end = end_of_statement(rest).unwrap_or(rest.len());
        let (statement, after) = rest.split_at(end);
        rest = after;
        (!statement.is_empty()).then_some(statement)
    })
}

/// Whether a text holds more than one statement.
pub(crate) fn has_several(sql: &str) -> bool {
    statements(sql).nth(1).is_some()
}

/// Past white space, comments and marks that end nothing.
fn skip_blank(sql: &str) -> &str {
    let mut words = Words::new(sql);
    loop {
        let blank = |c: char| c == ';' || c.is_whitespace();
        words.rest = words.rest.trim_start_matches(blank);
        if !words.skip_comment() {
            return words.rest;
        }
    }
}

/// The statement opens or ends a transaction, or a part of one.
pub(crate) fn moves_a_transaction(statement: &str) -> bool {
    const WORDS: [&str; 6] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    WORDS.contains(&first_word(statement).as_str())
}

/// The statement changes what the connection's next user finds: a setting, or a table of its own.
pub(crate) fn changes_the_connection(statement: &str) -> bool {
    let mut words = Words::new(statement).map(str::to_ascii_uppercase);
    match words.next().as_deref() {
        Some("PRAGMA" | "ATTACH" | "DETACH") => true,
        Some("CREATE") => matches!(words.next().as_deref(), Some("TEMP" | "TEMPORARY")),
        _ => false,
    }
}

/// Where the first statement ends, behind its `;`; `None`: it goes on. The statements in a trigger are part of it.
#[must_use]
pub fn end_of_statement(sql: &str) -> Option<usize> {
    let is = |word: &str, wanted| word.eq_ignore_ascii_case(wanted);
    let (mut words, mut seen) = (Words::new(sql), Vec::<&str>::new());
    while let Some(word) = words.next() {
        if word != ";" {
            seen.push(word);
            continue;
        }
        let trigger = match seen.as_slice() {
            [create, temp, trigger, ..] if is(temp, "temp") || is(temp, "temporary") => {
                is(create, "create") && is(trigger, "trigger")
            }
            [create, trigger, ..] => is(create, "create") && is(trigger, "trigger"),
            _ => false,
        };
        let closed = seen
            .last_chunk()
            .is_some_and(|[mark, end]| *mark == ";" && is(end, "end"));
        if !trigger || closed {
            return Some(sql.len() - words.rest.len());
        }
        seen.push(word);
    }
    None
}

/// Whether a statement is to be sent as a query.
#[must_use]
pub fn gives_rows(sql: &str) -> bool {
    let writes = || {
        let words = ["insert", "update", "delete", "into"];
        Words::new(sql).any(|word| words.iter().any(|w| word.eq_ignore_ascii_case(w)))
    };
    match first_word(sql).as_str() {
        "SELECT" | "VALUES" | "PRAGMA" | "EXPLAIN" => true,
        "WITH" if !writes() => true,
        _ => returns_rows_of_a_write(sql),
    }
}

/// The first bare word of a text, in capitals; empty where there is none.
#[must_use]
pub fn first_word(sql: &str) -> String {
    let first = Words::new(sql).find(|word| *word != ";");
    first.unwrap_or_default().to_ascii_uppercase()
}

/// Bare words, and the marks `;` and `.`.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    /// Whether there was one.
    fn skip_comment(&mut self) -> bool {
        let end = match self.rest.get(..2) {
            Some("--") => "\n",
            Some("/*") => "*/",
            _ => return false,
        };
        self.skip_past(2, end);
        true
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
            if self.skip_comment() {
                continue;
            }
            let c = self.rest.chars().next()?;
            if let Some(quote) = match c {
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
    fn statements_are_told_apart_outside_of_texts() {
        for sql in [
            "SELECT 1; SELECT 2",
            "; a;\n;b",
            "BEGIN;/* ; */COMMIT",
            "SELECT 1;)",
            "SELECT 1; 5",
        ] {
            assert!(has_several(sql), "{sql}");
        }
        for sql in ["SELECT ';a'", "SELECT 1;", " ;SELECT 1 ; -- x; y\n ;", ""] {
            assert!(!has_several(sql), "{sql}");
        }
        assert_eq!(first_word("/* a */ -- b\n;insert into t"), "INSERT");
        assert_eq!(first_word("  "), "");
    }

    #[test]
    fn a_statement_ends_where_sqlite_ends_it() {
        let trigger = "CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN UPDATE t SET n = CASE n WHEN 1 THEN 2 END; SELECT 1; END;";
        for one in [
            "SELECT 1;",
            "INSERT INTO t VALUES (';');",
            "/* ; */ SELECT ';' -- ;\n;",
            trigger,
        ] {
            assert_eq!(
                end_of_statement(&format!("{one} SELECT 2;")),
                Some(one.len()),
                "{one}"
            );
        }
        for part in [
            "SELECT 1",
            "SELECT ';",
            "",
            "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1;",
        ] {
            assert_eq!(end_of_statement(part), None, "{part}");
        }
    }

    #[test]
    fn what_gives_rows_is_asked_for_them() {
        for sql in [
            "select 1",
            "WITH a AS (SELECT 1) SELECT replace('a', 'b', 'c') FROM a",
            "INSERT INTO t VALUES (1) RETURNING n",
            "-- x\nPRAGMA table_info(t)",
        ] {
            assert!(gives_rows(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO t SELECT 1",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "CREATE TABLE t (n)",
            "",
        ] {
            assert!(!gives_rows(sql), "{sql}");
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
            "PRAGMA \"wal_checkpoint\"(optimize)",
            "PRAGMA main.\"wal_checkpoint\"(optimize)",
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
