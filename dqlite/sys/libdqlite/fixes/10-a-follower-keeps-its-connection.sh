# The connection on which a follower applies entries stays open: SQLite, as it opens one, reads the whole WAL again
# after each entry.
after src/db.h '^struct db$' 'raft_index read_index;' <<'C'
	sqlite3 *applier;             /* Applies the entries of other leaders */
C
after src/db.c '^void db__close\(' 'dqlite_assert\(db->leaders == 0\);' <<'C'
	sqlite3_close(db->applier);
C
replace src/fsm.c '/\* Follower transaction \*/' '^		}$' <<'C'
		/* Follower transaction */
		if (db->applier == NULL) {
			rv = db__open(db, &db->applier);
			if (rv != 0) {
				tracef("open follower failed %d", rv);
				return rv;
			}
		}
		conn = db->applier;
C
replace src/fsm.c '^	if \(db->active_leader == NULL\) \{$' '^	}$' <<'C'
C
