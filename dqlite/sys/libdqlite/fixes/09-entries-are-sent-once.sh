# A peer that is being probed gets the entries that it lacks once; until it has them, heartbeats. A peer that came
# back is tried again soon.
after src/raft/progress.h '^struct raft_progress' 'raft_index match_index;' <<'C'
	raft_time probed;               /* When a probe with entries was sent; 0 for never */
C
after src/raft/progress.c '^static void initProgress\(' 'p->match_index = 0;' <<'C'
	p->probed = 0;
C
after src/raft/progress.c '^void progressAbortSnapshot\(' 'p->snapshot_index = 0;' <<'C'
	p->probed = 0;
C
after src/raft/progress.c '^void progressToProbe\(' 'p->state = PROGRESS__PROBE;' <<'C'
	p->probed = 0;
C
after src/raft/progress.c '^bool progressMaybeDecrement\(' 'p->next_index = min\(rejected, last_index \+ 1\);' <<'C'
	p->probed = 0;
C
replace src/raft/replication.c '^	return sendAppendEntries\(r, i, prev_index, prev_term\);$' '^	return sendAppendEntries\(r, i, prev_index, prev_term\);$' <<'C'
	/* What the peer lacks may take it longer than the pause between two
	 * heartbeats, and would be sent and read again with each. An empty message
	 * names the end of the log, as while a snapshot is sent: a peer that
	 * answers for less than it was asked for must not be taken at its word. */
	if (progressState(r, i) == PROGRESS__PROBE &&
	    next_index <= logLastIndex(r->log)) {
		struct raft_progress *p = &r->leader_state.progress[i];
		raft_time now = r->io->time(r->io);
		if (p->probed != 0 && now - p->probed < 4 * r->election_timeout) {
			prev_index = logLastIndex(r->log);
			prev_term = logLastTerm(r->log);
		} else {
			p->probed = now;
		}
	}

	return sendAppendEntries(r, i, prev_index, prev_term);
C
# Where a peer stands is not known worse because a message did not reach it.
replace src/raft/replication.c '/\* Go back to probe mode\. \*/' 'progressToProbe\(r, i\);' <<'C'
			if (progressState(r, i) == PROGRESS__PROBE) {
				r->leader_state.progress[i].probed = 0;
			} else {
				progressToProbe(r, i);
			}
C
# The answer to an empty message may overtake that to the entries before it, which are on no disk yet.
replace src/raft/replication.c '^	if \(!progressMaybeUpdate\(r, i, last_index\)\) \{$' '^	if \(!progressMaybeUpdate\(r, i, last_index\)\) \{$' <<'C'
	const bool entries_to_come =
	    r->leader_state.progress[i].probed != 0 &&
	    last_index < r->leader_state.progress[i].next_index;
	if (!progressMaybeUpdate(r, i, last_index)) {
C
replace src/raft/replication.c '/\* Transition to pipeline \*/' 'progressToPipeline\(r, i\);' <<'C'
			if (!entries_to_come) {
				progressToPipeline(r, i);
			}
C
replace src/raft/uv.c '^#define CONNECT_RETRY_DELAY 1000$' '^#define CONNECT_RETRY_DELAY 1000$' <<'C'
#define CONNECT_RETRY_DELAY 250
C
