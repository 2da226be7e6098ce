//! Another user: what a command becomes that was started by root.

use std::{fs, io, str::FromStr};

use rustix::{
    process::{Gid, Uid},
    thread::CapabilitySet,
};

use super::capabilities;

/// The users of this machine.
const PASSWD: &str = "/etc/passwd";

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl FromStr for User {
    type Err = String;

    /// A name of `/etc/passwd`, or `UID:GID`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((uid, gid)) = text.split_once(':') {
            let number = |text: &str| {
                let number = text.parse().ok().filter(|id| *id != u32::MAX);
                number.ok_or_else(|| format!("{text:?} is no id"))
            };
            return Ok(Self {
                uid: number(uid)?,
                gid: number(gid)?,
            });
        }
        let users = fs::read_to_string(PASSWD);
        let users = users.map_err(|error| format!("{PASSWD}: {error}; UID:GID names any user"))?;
        find(&users, text)
            .ok_or_else(|| format!("{PASSWD} has no user {text:?}; UID:GID names any user"))
    }
}

fn find(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name) && !name.is_empty();
        let mut ids = fields.skip(1).map(str::parse);
        match (is_it, ids.next(), ids.next()) {
            (true, Some(Ok(uid)), Some(Ok(gid))) => Some(User { uid, gid }),
            _ => None,
        }
    })
}

impl User {
    /// Makes this thread, and those that it starts, the user's, without further groups and without
    /// capabilities.
    ///
    /// # Errors
    /// If the kernel refuses it: only root may do so.
    pub fn become_it(self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        capabilities::keep(CapabilitySet::empty())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nvm:x:64055:104::/var/lib/vm:/bin/false\n\
                         broken:x:many:1::/:\n";

    #[test]
    fn a_user_has_a_name_or_ids() {
        let vm = User {
            uid: 64055,
            gid: 104,
        };
        assert_eq!(find(USERS, "vm"), Some(vm));
        for name in ["", "none", "broken", "x"] {
            assert_eq!(find(USERS, name), None, "{name:?}");
        }
        assert_eq!("64055:104".parse(), Ok(vm));
        for text in ["1:", ":1", "4294967295:1", "-1:0", "no such user"] {
            assert!(text.parse::<User>().is_err(), "{text:?}");
        }
    }
}
