# A connection that looks at the WAL index for the first time after it grew by several regions maps all
# of them, in order.
replace src/vfs.c '/\* If an allocation is required, then it must be aligned' 'PRE\(\(\(size_t\)' <<'C'
	/* A mapping may hold several regions; the wanted one can be any of them. */
C
replace src/vfs.c 'const off_t min_file_size = ' 'const off_t min_file_size = ' <<'C'
	const off_t min_file_size =
	    (offset / (off_t)map_size + 1) * (off_t)map_size;
C
replace src/vfs.c 'PRE\(region_index == f->mappedShmRegions.len\)' '^	\*out = region;' <<'C'
	while (f->mappedShmRegions.len <= region_index) {
		const int first = f->mappedShmRegions.len;
		char *mapped = mmap(NULL, map_size, PROT_READ | PROT_WRITE,
				    f->exclMask ? MAP_PRIVATE : MAP_SHARED, s->fd,
				    (off_t)first * VFS__WAL_INDEX_REGION_SIZE);
		if (mapped == MAP_FAILED) {
			return SQLITE_IOERR_SHMMAP;
		}
		for (int i = 0; i < region_count; i++) {
			f->mappedShmRegions.ptr[first + i] =
			    mapped + (size_t)i * VFS__WAL_INDEX_REGION_SIZE;
		}
		f->mappedShmRegions.len = first + region_count;
	}
	*out = f->mappedShmRegions.ptr[region_index];
C
