# A value that does not fit its column's declared type is sent as what it is, and NULL as NULL.
replace src/query.c '^			if \(type == SQLITE_INTEGER\) \{' '^			}$' <<'C'
			if (type == SQLITE_INTEGER) {
				type = DQLITE_UNIXTIME;
			} else if (type == SQLITE_TEXT) {
				type = DQLITE_ISO8601;
			}
C
replace src/query.c 'type == SQLITE_INTEGER \|\| type == SQLITE_NULL' 'type = DQLITE_BOOLEAN' <<'C'
			if (type == SQLITE_INTEGER) {
				type = DQLITE_BOOLEAN;
			}
C
