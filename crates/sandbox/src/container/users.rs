//! Who the first process acts as: `user`, `uid`, `user:group`, `uid:gid`, by the container's own files.

use std::sync::Arc;

use minke_kernel::Credentials;
use minke_kernel::vfs::MountTree;
use smallvec::SmallVec;

use super::error::{StartError, StartErrorKind};
use super::mounts::read_file;

/// Bounds `/etc/passwd` and `/etc/group`, which the image brings.
const DATABASE_BYTES_MAX: usize = 1 << 20;

/// Bounds supplementary groups. Linux: `NGROUPS_MAX`.
const GROUPS_MAX: usize = 65_536;

/// A user of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) credentials: Credentials,
    pub(super) home: Vec<u8>,
}

/// Finds the user that a text names; empty is root. Docker: `runc`, `user.GetExecUser()`.
pub(super) fn find(mounts: &Arc<MountTree>, text: &str) -> Result<User, StartError> {
    let read = |path: &str| {
        // A container without the file has numbers only.
        let bytes = read_file(mounts, path, DATABASE_BYTES_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    look_up(text, &read("/etc/passwd"), &read("/etc/group"))
}

fn look_up(text: &str, passwd: &str, group: &str) -> Result<User, StartError> {
    let (user, group_text) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = passwd
        .lines()
        .filter_map(Account::parse)
        .find(|account| account.name == user || user.parse() == Ok(account.uid));
    let (uid, own_gid, home) = match (&entry, user.parse::<u32>()) {
        (Some(account), _) => (account.uid, account.gid, account.home),
        (None, Ok(uid)) => (uid, 0, "/"),
        (None, Err(_)) => return Err(unknown("user", user, "/etc/passwd")),
    };
    let gid = match group_text {
        Some(text) if !text.is_empty() => group_number(text, group)?,
        _ => own_gid,
    };
    let mut credentials = Credentials::user(uid, gid);
    // Groups that were named stand alone; else those that list the user come along.
    if let (None, Some(account)) = (group_text, &entry) {
        credentials.groups = groups_of(account.name, group);
    }
    Ok(User {
        credentials,
        home: home.as_bytes().to_vec(),
    })
}

/// A line of `/etc/passwd`. Linux: `passwd(5)`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Account<'_> {
    fn parse(line: &str) -> Option<Account<'_>> {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else {
            return None;
        };
        Some(Account {
            name,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: if home.is_empty() { "/" } else { home },
        })
    }
}

/// Splits a line of `/etc/group` into name, number and members. Linux: `group(5)`.
fn group_fields(line: &str) -> Option<(&str, u32, &str)> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields[..] else {
        return None;
    };
    Some((name, gid.parse().ok()?, members))
}

fn group_number(text: &str, group: &str) -> Result<u32, StartError> {
    let mut groups = group.lines().filter_map(group_fields);
    groups
        .find(|(name, gid, _)| *name == text || text.parse() == Ok(*gid))
        .map(|(_, gid, _)| gid)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| unknown("group", text, "/etc/group"))
}

fn groups_of(user: &str, group: &str) -> SmallVec<[u32; 8]> {
    group
        .lines()
        .filter_map(group_fields)
        .filter(|(_, _, members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
        .take(GROUPS_MAX)
        .collect()
}

fn unknown(what: &str, text: &str, file: &str) -> StartError {
    StartError::new(
        StartErrorKind::Failed,
        format!("unable to find {what} `{text}`: no matching entries in the container's `{file}`"),
        "use a number, such as `1000:1000`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:1000:1001:::/x\n";
    const GROUP: &str = "root:x:0:\nweb:x:1001:\nlogs:x:50:web,root\n";

    #[track_caller]
    fn check(text: &str, uid: u32, gid: u32, groups: &[u32], home: &str) {
        let user = look_up(text, PASSWD, GROUP).expect(text);
        let found = &user.credentials;
        assert_eq!(
            (found.euid, found.egid, &found.groups[..]),
            (uid, gid, groups),
            "{text}"
        );
        assert_eq!(user.home, home.as_bytes(), "{text}");
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        check("", 0, 0, &[50], "/root");
        check("web", 1000, 1001, &[50], "/");
        check("1000", 1000, 1001, &[50], "/");
        check("1000:7", 1000, 7, &[], "/");
        check("web:logs", 1000, 50, &[], "/");
        check("7", 7, 0, &[], "/");
    }

    #[test]
    fn unknown_names_are_errors_that_name_them() {
        for text in ["nobody", "web:nobody", "-1", "4294967296"] {
            let error = look_up(text, PASSWD, GROUP).expect_err(text);
            assert!(
                error
                    .message
                    .contains(text.rsplit(':').next().expect("a part")),
                "{error}"
            );
        }
    }
}
