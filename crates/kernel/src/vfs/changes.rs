//! What became of a tree: the difference between an overlay and the tree that it began as.
//!
//! An overlay keeps the number of each inode that it took from its lower tree, and sets the change time whenever it
//! changes one; no guest can set that. So an inode with the same number and change time is the same, to its content.
//!
//! Where the overlay can tell which inodes were touched, nothing else is looked at ([`Scope::Among`]); the changes are the same.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Change Types", "Representing Changes".

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use minke_abi::linux::{FileType, PATH_MAX};
use minke_abi::{Errno, Result};

use crate::vfs::{FileSystem, Inode, Metadata, Name};

/// A path at which two trees differ. Paths begin at the top, without a slash.
pub enum Change<'a> {
    /// Something new, or something whose content or attributes changed.
    Present {
        path: &'a [u8],
        inode: &'a Arc<dyn Inode>,
        metadata: Metadata,
        before: Before<'a>,
    },
    /// The lower tree's name is gone.
    Absent { path: &'a [u8] },
}

/// What the lower tree has at the path of something that is there.
#[derive(Clone, Copy)]
pub enum Before<'a> {
    Nothing,
    /// Something else: of a directory in its place, nothing is in this one.
    Other,
    /// The same object, as it was.
    Same(&'a Arc<dyn Inode>),
}

/// Where two trees may differ.
#[derive(Clone, Debug)]
pub enum Scope {
    Everywhere,
    /// Where one of these is concerned.
    Among(Touched),
}

/// Inodes by number, outside of which an overlay is as its lower tree. Both have their numbers.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// What is new or changed.
    pub inodes: HashSet<u64>,
    /// The directories in which names of these are, or names came or went, and those that lead there.
    pub directories: HashSet<u64>,
}

impl Scope {
    /// Whether a name that leads to an inode in both trees is passed over.
    fn is_outside(&self, number: u64) -> bool {
        match self {
            Scope::Everywhere => false,
            Scope::Among(touched) => {
                !touched.inodes.contains(&number) && !touched.directories.contains(&number)
            }
        }
    }

    /// Whether a directory that both trees have is looked into.
    fn leads_into(&self, number: u64) -> bool {
        match self {
            Scope::Everywhere => true,
            Scope::Among(touched) => touched.directories.contains(&number),
        }
    }
}

/// Tells `visit` of every change in a scope, a directory before what is in it, in an order that only the trees decide.
///
/// Changes of the top directory itself are not told. Fails with `ENAMETOOLONG` for a path of `PATH_MAX` bytes, which nobody
/// could open.
pub fn visit_changes<E: From<Errno>>(
    upper: &dyn FileSystem,
    lower: &dyn FileSystem,
    scope: &Scope,
    visit: &mut dyn FnMut(&Change<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut pending = vec![Pair {
        path: Vec::new(),
        upper: upper.root(),
        lower: Some(lower.root()),
    }];
    while let Some(pair) = pending.pop() {
        let (below, above) = (pair.lower_names()?, names(&*pair.upper)?);
        for name in below.keys().filter(|name| !above.contains_key(*name)) {
            let path = pair.child(name)?;
            visit(&Change::Absent { path: &path })?;
        }
        for (name, number) in &above {
            if below.get(name) == Some(number) && scope.is_outside(*number) {
                continue;
            }
            let child = pair.compare(name)?;
            if let Some(metadata) = child.changed()? {
                visit(&Change::Present {
                    path: &child.path,
                    inode: &child.upper,
                    before: match &child.lower {
                        Some(lower) => Before::Same(lower),
                        None if below.contains_key(name) => Before::Other,
                        None => Before::Nothing,
                    },
                    metadata,
                })?;
            }
            let is_new = child.lower.is_none();
            if child.is_directory() && (is_new || scope.leads_into(*number)) {
                pending.push(child);
            }
        }
    }
    Ok(())
}

/// A path, and what is there in both trees.
struct Pair {
    path: Vec<u8>,
    upper: Arc<dyn Inode>,
    /// `None` where the lower tree has nothing, or another object.
    lower: Option<Arc<dyn Inode>>,
}

impl Pair {
    fn is_directory(&self) -> bool {
        self.upper.file_type() == FileType::Directory
    }

    fn lower_names(&self) -> Result<BTreeMap<Name, u64>> {
        self.lower
            .as_deref()
            .map_or_else(|| Ok(BTreeMap::new()), names)
    }

    fn child(&self, name: &[u8]) -> Result<Vec<u8>> {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(path)
    }

    fn compare(&self, name: &[u8]) -> Result<Pair> {
        let upper = self.upper.lookup(name)?;
        // A disk gives the number of what is gone to what comes next.
        let is_same = |lower: &Arc<dyn Inode>| {
            lower.number() == upper.number() && lower.file_type() == upper.file_type()
        };
        let lower = self
            .lower
            .as_ref()
            .and_then(|lower| lower.lookup(name).ok())
            .filter(is_same);
        Ok(Pair {
            path: self.child(name)?,
            upper,
            lower,
        })
    }

    /// Returns the attributes if the object is not as it was.
    fn changed(&self) -> Result<Option<Metadata>> {
        let metadata = self.upper.metadata()?;
        let is_same = match &self.lower {
            Some(lower) => lower.metadata()?.changed == metadata.changed,
            None => false,
        };
        Ok((!is_same).then_some(metadata))
    }
}

/// Returns the names in a directory, with the numbers of their inodes.
fn names(directory: &dyn Inode) -> Result<BTreeMap<Name, u64>> {
    let mut names = BTreeMap::new();
    directory.read_directory(0, &mut |entry| {
        names.insert(Name::from_slice(entry.name), entry.inode);
        true
    })?;
    Ok(names)
}
