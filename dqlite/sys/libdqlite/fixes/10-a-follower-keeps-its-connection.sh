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
	/* Which may be the end of the database: one that was deleted is a first
	 * page alone, goes with its last connection, and takes db along. */
	if (rv == 0 && c->frames.n_pages == 1 && c->frames.page_numbers[0] == 1) {
		sqlite3 *applier = db->applier;
		db->applier = NULL;
		sqlite3_close(applier);
	}
C
# It checkpoints, and maps then what others have to see later.
replace src/vfs.c 'f->exclMask \? MAP_PRIVATE : MAP_SHARED' 'f->exclMask \? MAP_PRIVATE : MAP_SHARED' <<'C'
				    f->exclMask != 0 && f->exclMask != VFS__CHECKPOINT_MASK
					? MAP_PRIVATE
					: MAP_SHARED,
				    s->fd,
C
