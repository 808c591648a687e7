//! Who a process is, what it may have, and what the container is called. Linux: kernel/sys.c.

use minke_abi::resource::{CPU, NOFILE};
use minke_abi::{Errno, Result};

use crate::process::{Credentials, Pid, Process};
use crate::resource::ResourceLimit;
use crate::task::Task;

/// Longest name of a host or a domain. Linux: `__NEW_UTS_LEN`.
const NAME_BYTES_MAX: usize = 64;

/// A user or a group in its three roles; `None` keeps one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewIds {
    pub real: Option<u32>,
    pub effective: Option<u32>,
    pub saved: Option<u32>,
}

/// The three roles as they are.
#[derive(Clone, Copy)]
struct Ids {
    real: u32,
    effective: u32,
    saved: u32,
}

impl Ids {
    fn contains(self, id: Option<u32>) -> bool {
        id.is_none_or(|id| [self.real, self.effective, self.saved].contains(&id))
    }

    /// `setresuid`: each becomes what one of them was. Linux: `__sys_setresuid()`.
    fn replaced(self, new: NewIds, is_privileged: bool) -> Result<Ids> {
        let gains_nothing = [new.real, new.effective, new.saved]
            .into_iter()
            .all(|id| self.contains(id));
        if !is_privileged && !gains_nothing {
            return Err(Errno::EPERM);
        }
        Ok(Ids {
            real: new.real.unwrap_or(self.real),
            effective: new.effective.unwrap_or(self.effective),
            saved: new.saved.unwrap_or(self.saved),
        })
    }

    /// `setreuid`: the saved one follows the effective one, unless nothing but that changed to the real one.
    /// Linux: `__sys_setreuid()`.
    fn exchanged(self, new: NewIds, is_privileged: bool) -> Result<Ids> {
        let real_is_own = new
            .real
            .is_none_or(|id| [self.real, self.effective].contains(&id));
        let gains_nothing = real_is_own && self.contains(new.effective);
        if !is_privileged && !gains_nothing {
            return Err(Errno::EPERM);
        }
        let effective = new.effective.unwrap_or(self.effective);
        let follows = new.real.is_some() || new.effective.is_some_and(|id| id != self.real);
        Ok(Ids {
            real: new.real.unwrap_or(self.real),
            effective,
            saved: if follows { effective } else { self.saved },
        })
    }

    /// `setuid`: all three for root, else the effective one. Linux: `__sys_setuid()`.
    fn set(self, id: u32, is_privileged: bool) -> Result<Ids> {
        if is_privileged {
            return Ok(Ids {
                real: id,
                effective: id,
                saved: id,
            });
        }
        if ![self.real, self.saved].contains(&id) {
            return Err(Errno::EPERM);
        }
        Ok(Ids {
            effective: id,
            ..self
        })
    }
}

/// Whether it is about users or about groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Users,
    Groups,
}

/// How ids are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdChange {
    /// `setuid`, `setgid`.
    Set(u32),
    /// `setreuid`, `setregid`.
    Exchange(NewIds),
    /// `setresuid`, `setresgid`.
    Replace(NewIds),
}

impl Task {
    /// Changes who the process is; `EPERM` for what would gain something.
    pub fn change_ids(&self, kind: Kind, change: IdChange) -> Result<()> {
        let mut who = Credentials::clone(&self.process.credentials());
        let before = ids_of(&who, kind);
        let is_privileged = who.is_privileged();
        let after = match change {
            IdChange::Set(id) => before.set(id, is_privileged),
            IdChange::Exchange(new) => before.exchanged(new, is_privileged),
            IdChange::Replace(new) => before.replaced(new, is_privileged),
        }?;
        match kind {
            Kind::Users => {
                (who.uid, who.euid, who.suid) = (after.real, after.effective, after.saved);
            }
            Kind::Groups => {
                (who.gid, who.egid, who.sgid) = (after.real, after.effective, after.saved);
            }
        }
        self.process.set_credentials(who);
        Ok(())
    }

    /// Returns a process's limit of a resource, and changes it if asked to; 0 is the caller. Linux: `do_prlimit()`.
    pub fn resource_limit(
        &self,
        pid: Pid,
        number: u32,
        new: Option<ResourceLimit>,
    ) -> Result<ResourceLimit> {
        let process = self.process_of(pid)?;
        let caller = self.process.credentials();
        let target = process.credentials();
        let is_same = [target.uid, target.euid, target.suid]
            .iter()
            .all(|uid| *uid == caller.uid);
        if !caller.is_privileged() && !is_same {
            return Err(Errno::EPERM);
        }
        let number = number as usize;
        let before = process.settings.limits().get(number).ok_or(Errno::EINVAL)?;
        let Some(new) = new else { return Ok(before) };
        if new.soft > new.hard {
            return Err(Errno::EINVAL);
        }
        // What the container has was set from outside: not even its root goes beyond.
        let most = self.process.kernel.config.resource_limits.get(number);
        let is_beyond = most.is_some_and(|most| new.hard > most.hard);
        if is_beyond || (new.hard > before.hard && !caller.is_privileged()) {
            return Err(Errno::EPERM);
        }
        process.settings.set_limit(number, new);
        if number == CPU {
            process.hold_cpu_limit(new);
        }
        if number == NOFILE {
            process
                .fds
                .set_fds_max(u32::try_from(new.soft).unwrap_or(u32::MAX));
        }
        Ok(before)
    }

    /// Returns a process by number; 0 is the caller.
    pub fn process_of(&self, pid: Pid) -> Result<std::sync::Arc<Process>> {
        if pid.0 == 0 {
            return Ok(std::sync::Arc::clone(&self.process));
        }
        self.process.kernel.process(pid).ok_or(Errno::ESRCH)
    }

    /// Gives the container's host another name; root only. Linux: `sethostname(2)`.
    pub fn set_host_name(&self, name: &[u8]) -> Result<()> {
        self.check_name(name)?;
        let kernel = &self.process.kernel;
        kernel.change_names(|names| names.host = name.to_vec());
        Ok(())
    }

    /// Gives it another domain; root only. Linux: `setdomainname(2)`.
    pub fn set_domain_name(&self, name: &[u8]) -> Result<()> {
        self.check_name(name)?;
        let kernel = &self.process.kernel;
        kernel.change_names(|names| names.domain = name.to_vec());
        Ok(())
    }

    fn check_name(&self, name: &[u8]) -> Result<()> {
        if !self.process.credentials().is_privileged() {
            return Err(Errno::EPERM);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }
}

fn ids_of(who: &Credentials, kind: Kind) -> Ids {
    let (real, effective, saved) = match kind {
        Kind::Users => (who.uid, who.euid, who.suid),
        Kind::Groups => (who.gid, who.egid, who.sgid),
    };
    Ids {
        real,
        effective,
        saved,
    }
}
