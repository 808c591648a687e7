//! Permissions of `--chmod`: octal, or a list of changes as `chmod` takes them.
//!
//! Spec: POSIX `chmod`, "EXTENDED DESCRIPTION"; Dockerfile reference, "COPY --chmod". Who is not said is everybody: a build
//! has no file mode creation mask.

/// Permissions to set, or changes of those that a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    Set(u32),
    Apply(Vec<Clause>),
}

/// `[ugoa]*[-+=][rwxXstugo]*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of the users it is about: of 0o700, 0o070 and 0o007.
    who: u32,
    action: Action,
    permissions: Vec<Permission>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    /// Bits of 0o7.
    Bits(u32),
    /// `X`: execute, for directories and what somebody may execute already.
    ExecuteIfUseful,
    /// `s`
    SetId,
    /// `t`
    Sticky,
    /// `u`, `g`, `o`: what these have; how far to shift it.
    CopyOf(u32),
}

const USER: u32 = 0o700;
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;
const EVERYBODY: u32 = 0o777;
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;

impl ModeChange {
    /// Reads a mode; none if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok()?;
            return (mode <= 0o7777).then_some(Self::Set(mode));
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(clauses_of(part)?);
        }
        Some(Self::Apply(clauses))
    }

    /// Returns the permissions of what had `mode`.
    pub(crate) fn of(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Set(mode) => *mode,
            Self::Apply(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.of(mode, is_directory)),
        }
    }
}

/// Reads one who and its actions: `u+x-w`.
fn clauses_of(text: &str) -> Option<Vec<Clause>> {
    let is_who = |character: char| matches!(character, 'u' | 'g' | 'o' | 'a');
    let actions = text.trim_start_matches(is_who);
    let who = text[..text.len() - actions.len()].chars().map(who_bits);
    let who = match who.fold(0, |bits, more| bits | more) {
        0 => EVERYBODY,
        who => who,
    };
    let mut clauses: Vec<Clause> = Vec::new();
    for character in actions.chars() {
        match (action_of(character), clauses.last_mut()) {
            (Some(action), _) => clauses.push(Clause {
                who,
                action,
                permissions: Vec::new(),
            }),
            (None, Some(clause)) => clause.permissions.push(permission_of(character)?),
            (None, None) => return None,
        }
    }
    (!clauses.is_empty()).then_some(clauses)
}

fn who_bits(character: char) -> u32 {
    match character {
        'u' => USER,
        'g' => GROUP,
        'o' => OTHERS,
        _ => EVERYBODY,
    }
}

fn action_of(character: char) -> Option<Action> {
    match character {
        '+' => Some(Action::Add),
        '-' => Some(Action::Remove),
        '=' => Some(Action::Set),
        _ => None,
    }
}

fn permission_of(character: char) -> Option<Permission> {
    Some(match character {
        'r' => Permission::Bits(4),
        'w' => Permission::Bits(2),
        'x' => Permission::Bits(1),
        'X' => Permission::ExecuteIfUseful,
        's' => Permission::SetId,
        't' => Permission::Sticky,
        'u' => Permission::CopyOf(6),
        'g' => Permission::CopyOf(3),
        'o' => Permission::CopyOf(0),
        _ => return None,
    })
}

impl Clause {
    fn of(&self, mode: u32, is_directory: bool) -> u32 {
        let named = self.permissions.iter().fold(0, |bits, permission| {
            bits | self.bits(*permission, mode, is_directory)
        });
        match self.action {
            Action::Add => mode | named,
            Action::Remove => mode & !named,
            Action::Set => (mode & !self.replaced(is_directory)) | named,
        }
    }

    fn bits(&self, permission: Permission, mode: u32, is_directory: bool) -> u32 {
        let everybody = |bits: u32| (bits * 0o111) & self.who;
        match permission {
            Permission::Bits(bits) => everybody(bits),
            Permission::ExecuteIfUseful if is_directory || mode & 0o111 != 0 => everybody(1),
            Permission::ExecuteIfUseful => 0,
            Permission::SetId => self.set_ids(),
            Permission::Sticky => STICKY,
            Permission::CopyOf(shift) => everybody(mode >> shift & 0o7),
        }
    }

    fn set_ids(&self) -> u32 {
        let of = |who, bit| if self.who & who == 0 { 0 } else { bit };
        of(USER, SET_USER) | of(GROUP, SET_GROUP)
    }

    /// `=` takes the set-id bits of a file away too; those of a directory stay, as GNU's `chmod` has it.
    fn replaced(&self, is_directory: bool) -> u32 {
        match is_directory {
            true => self.who,
            false => self.who | self.set_ids(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, before: u32, expected: u32) {
        let change = ModeChange::parse(text).expect(text);
        let mode = change.of(before, false);
        assert_eq!(mode, expected, "{text} on {before:o} gives {mode:o}");
    }

    #[test]
    fn octal_numbers_replace() {
        check("755", 0o644, 0o755);
        check("0644", 0o777, 0o644);
        check("4755", 0, 0o4755);
        check("0", 0o777, 0);
        check("0000755", 0o777, 0o755);
    }

    #[test]
    fn symbols_change() {
        check("u+x", 0o644, 0o744);
        check("+x", 0o644, 0o755);
        check("go-rwx", 0o777, 0o700);
        check("a=r,u+w", 0o777, 0o644);
        check("u=rwX,go=rX", 0o600, 0o644);
        check("u=rwX,go=rX", 0o700, 0o755);
        check("u+s,g+s,+t", 0o755, 0o7755);
        check("g=u", 0o740, 0o770);
        check("u+x-w", 0o600, 0o500);
        check("u=", 0o4777, 0o077);
    }

    #[test]
    fn a_directory_may_be_searched_where_x_is_large() {
        let change = ModeChange::parse("a+X").expect("it is a change");
        assert_eq!(change.of(0o644, true), 0o755);
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "", "8", "99999", "77777", "u", "rwx", "u+y", "u+x,", ",u+x", "1x", "u ~ x",
        ] {
            assert_eq!(ModeChange::parse(text), None, "{text}");
        }
    }
}
