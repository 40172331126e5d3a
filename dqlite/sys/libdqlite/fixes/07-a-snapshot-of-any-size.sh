# A member takes a snapshot larger than 500 MiB: one snapshot holds all databases.
replace src/raft/uv_recv.c '^#define MAX_PAYLOAD_LEN' '^#define MAX_PAYLOAD_LEN' <<'C'
#define MAX_PAYLOAD_LEN ((size_t)8 << 30) /* 8 GiB */
C
