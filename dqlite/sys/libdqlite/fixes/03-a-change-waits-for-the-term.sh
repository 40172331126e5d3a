# A leader of several voters changes the membership only once an entry of its own term is committed.
after src/raft/membership.c '^int membershipCanChangeConfiguration' 'r->leader_state.round_start == 0' <<'C'

	/* Until then another leader may have committed a configuration that this
	 * one does not know, and the two could share no majority. */
	if (configurationVoterCount(&r->configuration) > 1 &&
	    logTermOf(r->log, r->commit_index) != r->current_term) {
		rv = RAFT_CANTCHANGE;
		goto err;
	}
C
