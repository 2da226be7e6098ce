//! The names of the kernel's errnos.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::json;

/// An errno as the kernel returned it, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

macro_rules! names {
    ($($name:ident = $value:expr),* $(,)?) => {
        /// Each errno by its name in `include/uapi/asm-generic/errno.h`, and the kernel's own of
        /// `include/linux/errno.h`: probes see those, and `ENOTSUPP` reaches user space too.
        #[expect(missing_docs, reason = "the name is all there is")]
        impl Errno {
            $(pub const $name: Self = Self($value);)*
        }

        /// All that have a name here.
        const NAMED: &[(&str, Errno)] = &[$((stringify!($name), Errno::$name),)*];

        /// The name of an errno, as in `EBUSY`.
        pub fn name(errno: i32) -> Option<&'static str> {
            Some(match Errno(errno) {
                $(Errno::$name => stringify!($name),)*
                _ => return None,
            })
        }
    };
}

names! {
    EPERM = libc::EPERM, ENOENT = libc::ENOENT, ESRCH = libc::ESRCH, EINTR = libc::EINTR,
    EIO = libc::EIO, ENXIO = libc::ENXIO, E2BIG = libc::E2BIG, ENOEXEC = libc::ENOEXEC,
    EBADF = libc::EBADF, ECHILD = libc::ECHILD, EAGAIN = libc::EAGAIN, ENOMEM = libc::ENOMEM,
    EACCES = libc::EACCES, EFAULT = libc::EFAULT, ENOTBLK = libc::ENOTBLK, EBUSY = libc::EBUSY,
    EEXIST = libc::EEXIST, EXDEV = libc::EXDEV, ENODEV = libc::ENODEV, ENOTDIR = libc::ENOTDIR,
    EISDIR = libc::EISDIR, EINVAL = libc::EINVAL, ENFILE = libc::ENFILE, EMFILE = libc::EMFILE,
    ENOTTY = libc::ENOTTY, ETXTBSY = libc::ETXTBSY, EFBIG = libc::EFBIG, ENOSPC = libc::ENOSPC,
    ESPIPE = libc::ESPIPE, EROFS = libc::EROFS, EMLINK = libc::EMLINK, EPIPE = libc::EPIPE,
    EDOM = libc::EDOM, ERANGE = libc::ERANGE, EDEADLK = libc::EDEADLK,
    ENAMETOOLONG = libc::ENAMETOOLONG, ENOLCK = libc::ENOLCK, ENOSYS = libc::ENOSYS,
    ENOTEMPTY = libc::ENOTEMPTY, ELOOP = libc::ELOOP, ENOMSG = libc::ENOMSG, EIDRM = libc::EIDRM,
    ECHRNG = libc::ECHRNG, EL2NSYNC = libc::EL2NSYNC, EL3HLT = libc::EL3HLT, EL3RST = libc::EL3RST,
    ELNRNG = libc::ELNRNG, EUNATCH = libc::EUNATCH, ENOCSI = libc::ENOCSI, EL2HLT = libc::EL2HLT,
    EBADE = libc::EBADE, EBADR = libc::EBADR, EXFULL = libc::EXFULL, ENOANO = libc::ENOANO,
    EBADRQC = libc::EBADRQC, EBADSLT = libc::EBADSLT, EBFONT = libc::EBFONT, ENOSTR = libc::ENOSTR,
    ENODATA = libc::ENODATA, ETIME = libc::ETIME, ENOSR = libc::ENOSR, ENONET = libc::ENONET,
    ENOPKG = libc::ENOPKG, EREMOTE = libc::EREMOTE, ENOLINK = libc::ENOLINK, EADV = libc::EADV,
    ESRMNT = libc::ESRMNT, ECOMM = libc::ECOMM, EPROTO = libc::EPROTO, EMULTIHOP = libc::EMULTIHOP,
    EDOTDOT = libc::EDOTDOT, EBADMSG = libc::EBADMSG, EOVERFLOW = libc::EOVERFLOW,
    ENOTUNIQ = libc::ENOTUNIQ, EBADFD = libc::EBADFD, EREMCHG = libc::EREMCHG,
    ELIBACC = libc::ELIBACC, ELIBBAD = libc::ELIBBAD, ELIBSCN = libc::ELIBSCN,
    ELIBMAX = libc::ELIBMAX, ELIBEXEC = libc::ELIBEXEC, EILSEQ = libc::EILSEQ,
    ERESTART = libc::ERESTART, ESTRPIPE = libc::ESTRPIPE, EUSERS = libc::EUSERS,
    ENOTSOCK = libc::ENOTSOCK, EDESTADDRREQ = libc::EDESTADDRREQ, EMSGSIZE = libc::EMSGSIZE,
    EPROTOTYPE = libc::EPROTOTYPE, ENOPROTOOPT = libc::ENOPROTOOPT,
    EPROTONOSUPPORT = libc::EPROTONOSUPPORT, ESOCKTNOSUPPORT = libc::ESOCKTNOSUPPORT,
    EOPNOTSUPP = libc::EOPNOTSUPP, EPFNOSUPPORT = libc::EPFNOSUPPORT,
    EAFNOSUPPORT = libc::EAFNOSUPPORT, EADDRINUSE = libc::EADDRINUSE,
    EADDRNOTAVAIL = libc::EADDRNOTAVAIL, ENETDOWN = libc::ENETDOWN, ENETUNREACH = libc::ENETUNREACH,
    ENETRESET = libc::ENETRESET, ECONNABORTED = libc::ECONNABORTED, ECONNRESET = libc::ECONNRESET,
    ENOBUFS = libc::ENOBUFS, EISCONN = libc::EISCONN, ENOTCONN = libc::ENOTCONN,
    ESHUTDOWN = libc::ESHUTDOWN, ETOOMANYREFS = libc::ETOOMANYREFS, ETIMEDOUT = libc::ETIMEDOUT,
    ECONNREFUSED = libc::ECONNREFUSED, EHOSTDOWN = libc::EHOSTDOWN,
    EHOSTUNREACH = libc::EHOSTUNREACH, EALREADY = libc::EALREADY, EINPROGRESS = libc::EINPROGRESS,
    ESTALE = libc::ESTALE, EUCLEAN = libc::EUCLEAN, ENOTNAM = libc::ENOTNAM,
    ENAVAIL = libc::ENAVAIL, EISNAM = libc::EISNAM, EREMOTEIO = libc::EREMOTEIO,
    EDQUOT = libc::EDQUOT, ENOMEDIUM = libc::ENOMEDIUM, EMEDIUMTYPE = libc::EMEDIUMTYPE,
    ECANCELED = libc::ECANCELED, ENOKEY = libc::ENOKEY, EKEYEXPIRED = libc::EKEYEXPIRED,
    EKEYREVOKED = libc::EKEYREVOKED, EKEYREJECTED = libc::EKEYREJECTED,
    EOWNERDEAD = libc::EOWNERDEAD, ENOTRECOVERABLE = libc::ENOTRECOVERABLE, ERFKILL = libc::ERFKILL,
    EHWPOISON = libc::EHWPOISON,
    ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ENOIOCTLCMD = 515,
    ERESTART_RESTARTBLOCK = 516, ENOTSUPP = 524,
}

impl Errno {
    /// The errno of a failed call; `EIO` where the error did not come from the kernel.
    pub fn of(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.pad(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// What is no errno.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no errno")]
pub struct NoErrno(String);

impl FromStr for Errno {
    type Err = NoErrno;

    fn from_str(text: &str) -> Result<Self, NoErrno> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let number = || Some(Self(text.strip_prefix("errno ")?.parse().ok()?));
        named
            .map(|(_, errno)| *errno)
            .or_else(number)
            .ok_or_else(|| NoErrno(text.to_owned()))
    }
}

json::string!(Errno, "Errno", "An errno by its name.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_have_their_names() {
        assert_eq!(Errno::EBUSY.to_string(), "EBUSY");
        assert_eq!(Errno::ETIMEDOUT.to_string(), "ETIMEDOUT");
        assert_eq!(Errno::ENOTSUPP.to_string(), "ENOTSUPP");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
    }

    #[test]
    fn an_io_error_has_its_errno_or_eio() {
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        assert_eq!(Errno::of(&busy), Errno::EBUSY);
        assert_eq!(Errno::of(&io::Error::other("x")), Errno::EIO);
    }
}
