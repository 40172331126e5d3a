//! Founds a cluster of one under a random id.

use std::path::Path;

use crate::{Config, Error, FOUNDER_IDS, handle::Handle, is_reserved};

/// Makes, in the empty directory `dir`, the files of a cluster whose one voter is `id` at `address`.
///
/// libdqlite founds only under id 1, and does so whenever it starts with that id in an empty
/// directory: a member that kept the id would, after losing its disk, be a second cluster that
/// acknowledges writes. So it is started once as 1, on a socket that nobody knows, and its
/// configuration is then replaced by the real id. The caller does this in a scratch directory and
/// renames that into place: before the rename nothing was founded.
///
/// # Errors
/// Any of [`Error`]. `id` must not be reserved, and `dir` not be in use.
pub fn found(dir: &Path, id: u64, address: &str) -> Result<(), Error> {
    if is_reserved(id) {
        return Err(Error::ReservedId(id));
    }
    Config::new(FOUNDER_IDS[0], address, dir)
        .start_unchecked()?
        .stop()?;
    Handle::create(id, address, dir)?.recover_as(id, address)
}
