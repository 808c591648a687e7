//! Owners: `--chown=USER[:GROUP]` to numbers.
//!
//! Names are looked up in the image's own `/etc/passwd` and `/etc/group`, as the build's machine knows other people.
//!
//! Spec: Dockerfile reference, "COPY --chown"; Linux: `passwd(5)`, `group(5)`.

use std::path::Path;

use minke_image::StoreError;
use minke_image::tree::Tree;

/// Bounds `/etc/passwd` and `/etc/group` of an image.
const ACCOUNTS_BYTES_MAX: u64 = 1 << 20;

/// Who owns a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Why a text names nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnerError {
    #[error("`{0}` is not of the form `USER[:GROUP]`")]
    Malformed(String),
    #[error("there is no {what} `{name}` in `{file}` of the image")]
    Unknown {
        what: &'static str,
        name: String,
        file: &'static str,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns whether the text has names, which only an image can tell.
pub(crate) fn has_names(text: &str) -> bool {
    text.split(':').any(|part| part.parse::<u32>().is_err())
}

/// Looks an owner up. A number alone stands for the group too; a user's name for the user's own group.
pub(crate) fn find(text: &str, tree: &Tree) -> Result<Owner, OwnerError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(OwnerError::Malformed(text.to_owned()));
    }
    let (uid, own_gid) = match user.parse() {
        Ok(uid) => (uid, uid),
        Err(_) => {
            let fields = account(tree, "user", user, "/etc/passwd")?;
            number(&fields, 2)
                .zip(number(&fields, 3))
                .ok_or_else(|| OwnerError::Malformed(fields.join(":")))?
        }
    };
    let gid = match group.map(|group| (group, group.parse())) {
        None => own_gid,
        Some((_, Ok(gid))) => gid,
        Some((group, Err(_))) => {
            let fields = account(tree, "group", group, "/etc/group")?;
            number(&fields, 2).ok_or_else(|| OwnerError::Malformed(fields.join(":")))?
        }
    };
    Ok(Owner { uid, gid })
}

fn number(fields: &[String], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

/// Returns the fields of the line whose first is `name`.
fn account(
    tree: &Tree,
    what: &'static str,
    name: &str,
    file: &'static str,
) -> Result<Vec<String>, OwnerError> {
    let bytes = tree
        .read_file(Path::new(file), ACCOUNTS_BYTES_MAX)?
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let found = text
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .map(fields);
    found.ok_or_else(|| OwnerError::Unknown {
        what,
        name: name.to_owned(),
        file,
    })
}
