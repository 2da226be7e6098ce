//! Errno names: what a reader looks for, and what `strerror` leaves out.

use std::io;

use rustix::io::Errno;

/// The names that loading modules and binding drivers can meet.
const NAMES: &[(Errno, &str)] = &[
    (Errno::PERM, "EPERM"),
    (Errno::NOENT, "ENOENT"),
    (Errno::IO, "EIO"),
    (Errno::NXIO, "ENXIO"),
    (Errno::NOEXEC, "ENOEXEC"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::ACCESS, "EACCES"),
    (Errno::BUSY, "EBUSY"),
    (Errno::EXIST, "EEXIST"),
    (Errno::NODEV, "ENODEV"),
    (Errno::INVAL, "EINVAL"),
    (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    (Errno::ALREADY, "EALREADY"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
];

/// The errno's name, or the system's words for one that has none here.
pub fn describe(error: &io::Error) -> String {
    let known = NAMES
        .iter()
        .find(|(errno, _)| error.raw_os_error() == Some(errno.raw_os_error()));
    known.map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}
