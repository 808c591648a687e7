//! Path walks: from a path to the inode that it names.
//!
//! A walk stands at a [`Place`] and takes one component at a time. A symbolic link's target is
//! put in front of what is left of the path, so that nothing recurses. Directories are asked for
//! their parent (`..`), never the path for the way it came: a directory that was moved leads
//! to where it is now.
//!
//! Where it can, a walk goes through several directories at once ([`Inode::pass`]) and holds only the last of them, since counting
//! references costs more than finding names that are known.
//!
//! Linux: `fs/namei.c`; `path_resolution(7)`.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use minke_abi::linux::{FileType, NAME_MAX, PATH_MAX, SYMLINKS_MAX};
use minke_abi::{Errno, Result};

use crate::calls::paths::Follow;
use crate::process::Credentials;
use crate::task::Task;
use crate::vfs::permission::{Wanted, check, check_follow};
use crate::vfs::reopened::DescriptionInode;
use crate::vfs::{Inode, Location, MagicLink, Mount, Name, Passed};

/// An inode in a mount: what a walk stands at.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) mount: Arc<Mount>,
    pub(crate) inode: Arc<dyn Inode>,
}

impl Place {
    /// Returns the place of a location.
    pub(crate) fn of(location: &Location) -> Place {
        Place {
            mount: Arc::clone(&location.mount),
            inode: Arc::clone(&location.inode),
        }
    }

    /// Whether both are the same object in the same mount.
    pub(crate) fn is_same(&self, other: &Place) -> bool {
        self.mount.id == other.mount.id && self.inode.number() == other.inode.number()
    }

    /// Whether this is the top of its mount.
    pub(crate) fn is_mount_root(&self) -> bool {
        self.inode.number() == self.mount.root.number()
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }
}

/// Where a walk stands: at what it was given until it moves.
pub(crate) struct Standing<'a> {
    pub(crate) mount: Cow<'a, Arc<Mount>>,
    pub(crate) inode: Cow<'a, Arc<dyn Inode>>,
}

impl<'a> Standing<'a> {
    fn at(location: &'a Location) -> Standing<'a> {
        Standing {
            mount: Cow::Borrowed(&location.mount),
            inode: Cow::Borrowed(&location.inode),
        }
    }

    fn is_directory(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }

    fn is_mount_root(&self) -> bool {
        self.inode.number() == self.mount.root.number()
    }

    fn move_to(&mut self, found: Found) {
        self.inode = Cow::Owned(found.inode);
        if let Some(mount) = found.mount {
            self.mount = Cow::Owned(mount);
        }
    }

    /// Goes from a covered inode to the top of what covers it.
    fn cross_down(&mut self) {
        while let Some(mount) = self.mount.covering(&**self.inode) {
            self.inode = Cow::Owned(Arc::clone(&mount.root));
            self.mount = Cow::Owned(mount);
        }
    }
}

/// What a walk has found.
pub(crate) struct Found {
    pub(crate) inode: Arc<dyn Inode>,
    /// `None`: it is in the mount that the walk stands in.
    pub(crate) mount: Option<Arc<Mount>>,
}

impl Found {
    fn at(place: Place) -> Found {
        Found {
            inode: place.inode,
            mount: Some(place.mount),
        }
    }

    fn is_directory(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }
}

/// What kind of name a path ends with. Linux: `LAST_NORM` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastKind {
    Normal,
    Dot,
    DotDot,
    /// The path has no component: `/`.
    Root,
}

/// The last component of a path; its directory is the walk's place.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    range: Range<usize>,
    pub(crate) kind: LastKind,
    /// Slashes follow the name, which then has to be a directory.
    pub(crate) has_trailing_slash: bool,
}

bitflags::bitflags! {
    /// What a walk may not do. Linux: `openat2(2)`, `RESOLVE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Resolve: u32 {
        /// Go to another mount.
        const NO_XDEV = 1;
        /// Follow links of `/proc` that lead straight to an object.
        const NO_MAGICLINKS = 2;
        /// Follow links at all.
        const NO_SYMLINKS = 4;
        /// Leave the directory that it starts at.
        const BENEATH = 8;
        /// The same: that directory is its root.
        const IN_ROOT = 16;
    }
}

/// A walk along one path.
pub(crate) struct Walk<'a> {
    root: &'a Location,
    pub(crate) place: Standing<'a>,
    credentials: &'a Credentials,
    /// Who walks, for the links of `/proc`; `None` while a container is set up.
    task: Option<&'a Task>,
    text: Cow<'a, [u8]>,
    /// Where the rest of `text` begins.
    position: usize,
    links_left: usize,
    /// It was not tried in vain yet to go through several directories at once: that is done once, or long paths would cost their square.
    may_pass: bool,
    /// Where the last component, a link of `/proc`, has led straight to.
    jumped: Option<Arc<Location>>,
    resolve: Resolve,
    /// What it may not leave.
    start: &'a Location,
}

/// Where a symbolic link leads.
enum Target {
    Text(Vec<u8>),
    Location(Arc<Location>),
    /// Something open that has no place in the tree.
    Place(Place),
}

impl<'a> Walk<'a> {
    /// Starts a walk at `start`, or at `root` for an absolute path.
    ///
    /// `ENOENT` for an empty path, `ENAMETOOLONG` from `PATH_MAX` on, `EINVAL` with a zero byte inside.
    pub(crate) fn new(
        root: &'a Location,
        start: &'a Location,
        credentials: &'a Credentials,
        task: Option<&'a Task>,
        path: &'a [u8],
    ) -> Result<Walk<'a>> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if path.contains(&0) {
            return Err(Errno::EINVAL);
        }
        Ok(Walk {
            root,
            place: Standing::at(if path[0] == b'/' { root } else { start }),
            credentials,
            task,
            text: Cow::Borrowed(path),
            position: 0,
            links_left: SYMLINKS_MAX,
            may_pass: true,
            jumped: None,
            resolve: Resolve::empty(),
            start,
        })
    }

    /// The same walk, bounded; `EXDEV` for a path that leaves at once what it may not leave.
    pub(crate) fn within(mut self, resolve: Resolve) -> Result<Walk<'a>> {
        if self.text[0] == b'/' && resolve.contains(Resolve::BENEATH) {
            return Err(Errno::EXDEV);
        }
        if resolve.contains(Resolve::IN_ROOT) {
            self.root = self.start;
            self.place = Standing::at(self.start);
        }
        self.resolve = resolve;
        Ok(self)
    }

    /// `EXDEV` where the walk may not do what it is about to do.
    fn refuse(&self, resolve: Resolve) -> Result<()> {
        match self.resolve.intersects(resolve) {
            true => Err(Errno::EXDEV),
            false => Ok(()),
        }
    }

    /// Walks the whole path.
    pub(crate) fn find(&mut self, follow: Follow) -> Result<Place> {
        let Found { inode, mount } = self.find_any(follow)?;
        let mount = mount.unwrap_or_else(|| Arc::clone(&self.place.mount));
        Ok(Place { mount, inode })
    }

    /// Walks the whole path, whatever mount it ends in.
    pub(crate) fn find_inode(&mut self, follow: Follow) -> Result<Arc<dyn Inode>> {
        self.find_any(follow).map(|found| found.inode)
    }

    fn find_any(&mut self, follow: Follow) -> Result<Found> {
        loop {
            let last = self.walk_to_last()?;
            if let Some(found) = self.finish(&last, follow)? {
                return Ok(found);
            }
        }
    }

    /// Walks the whole path, and keeps the name of what is found.
    pub(crate) fn find_location(&mut self, follow: Follow) -> Result<Arc<Location>> {
        loop {
            let last = self.walk_to_last()?;
            if let Some(found) = self.finish(&last, follow)? {
                return Ok(self.location_of(found, &last));
            }
        }
    }

    /// Walks to the directory of the last component and stands there; it may be searched.
    pub(crate) fn walk_to_last(&mut self) -> Result<Last> {
        loop {
            let rest = &self.text[self.position..];
            let slashes = slashes_in_front(rest);
            let start = self.position + slashes;
            let length = length_of_component(&rest[slashes..]);
            let range = start..start + length;
            if length == 0 {
                return Ok(Last {
                    range,
                    kind: LastKind::Root,
                    has_trailing_slash: true,
                });
            }
            self.check_search()?;
            let next = range.end + slashes_in_front(&self.text[range.end..]);
            self.position = next;
            if next == self.text.len() {
                return Ok(Last {
                    kind: kind_of(&self.text[range.clone()]),
                    has_trailing_slash: next > range.end,
                    range,
                });
            }
            if !self.pass(start)? {
                self.step(&range)?;
            }
        }
    }

    /// Returns the bytes of the last component.
    pub(crate) fn name(&self, last: &Last) -> &[u8] {
        &self.text[last.range.clone()]
    }

    /// Looks the last component up in the walk's place; `Ok(None)` when it does not exist.
    ///
    /// The object itself is returned, not what is mounted on it.
    pub(crate) fn look_up_last(&self, last: &Last) -> Result<Option<Arc<dyn Inode>>> {
        match self.look_up(self.name(last)) {
            Err(Errno::ENOENT) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Takes the last component; `None` when it was a link whose target is still to be walked.
    pub(crate) fn finish(&mut self, last: &Last, follow: Follow) -> Result<Option<Found>> {
        match last.kind {
            LastKind::Root => {}
            LastKind::Dot => {}
            LastKind::DotDot => self.up()?,
            LastKind::Normal => {
                let child = self.child(&last.range)?;
                let follows = follow == Follow::Yes || last.has_trailing_slash;
                if follows && child.inode.file_type() == FileType::Symlink {
                    check_follow(&**self.place.inode, &*child.inode, self.credentials)?;
                    let suffix: &[u8] = if last.has_trailing_slash { b"/" } else { b"" };
                    return Ok(self.follow(&child, suffix)?.map(Found::at));
                }
                if last.has_trailing_slash && !child.is_directory() {
                    return Err(Errno::ENOTDIR);
                }
                return Ok(Some(child));
            }
        }
        Ok(Some(Found {
            inode: Arc::clone(&self.place.inode),
            mount: None,
        }))
    }

    /// Makes the location of what [`Walk::finish`] has found.
    pub(crate) fn location_of(&self, found: Found, last: &Last) -> Arc<Location> {
        if let Some(location) = &self.jumped {
            return Arc::clone(location);
        }
        let mount = found.mount.as_ref().unwrap_or(&self.place.mount);
        let is_mount_root = found.inode.number() == mount.root.number();
        let is_named = last.kind == LastKind::Normal && !found.is_directory();
        let (parent, name) = if is_named && !is_mount_root {
            let name = Name::from_slice(self.name(last));
            (Some(Arc::clone(&self.place.inode)), name)
        } else {
            (None, Name::new())
        };
        Arc::new(Location {
            mount: Arc::clone(mount),
            inode: found.inode,
            parent,
            name,
        })
    }

    /// Goes through all directories up to that of the last component at once, if all are known; `start` is where the next one's name begins.
    fn pass(&mut self, start: usize) -> Result<bool> {
        if !std::mem::take(&mut self.may_pass) {
            return Ok(false);
        }
        let (mount, credentials) = (&self.place.mount, self.credentials);
        let may_enter = |inode: &dyn Inode| {
            let may_search = || check(inode, credentials, Wanted::EXECUTE).is_ok();
            mount.covering(inode).is_none() && (credentials.is_privileged() || may_search())
        };
        let passed = self.place.inode.pass(&self.text[start..], &may_enter);
        let Some(Passed { inode, length }) = passed else {
            return Ok(false);
        };
        self.place.inode = Cow::Owned(inode);
        self.position = start + length;
        Ok(true)
    }

    /// Takes a component that is not the last.
    fn step(&mut self, range: &Range<usize>) -> Result<()> {
        match kind_of(&self.text[range.clone()]) {
            LastKind::Dot => return Ok(()),
            LastKind::DotDot => return self.up(),
            LastKind::Normal | LastKind::Root => {}
        }
        let child = self.child(range)?;
        if child.inode.file_type() == FileType::Symlink {
            let mut rest = vec![b'/'];
            rest.extend_from_slice(&self.text[self.position..]);
            if let Some(place) = self.follow(&child, &rest)? {
                self.jumped = None;
                self.enter(Found::at(place))?;
            }
            return Ok(());
        }
        self.enter(child)
    }

    fn enter(&mut self, found: Found) -> Result<()> {
        if !found.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.place.move_to(found);
        Ok(())
    }

    /// Finds a child and what is mounted on it.
    fn child(&self, range: &Range<usize>) -> Result<Found> {
        let inode = self.look_up(&self.text[range.clone()])?;
        let mut child = Found { inode, mount: None };
        let mut covering = self.place.mount.covering(&*child.inode);
        while let Some(mount) = covering {
            self.refuse(Resolve::NO_XDEV)?;
            child.inode = Arc::clone(&mount.root);
            covering = mount.covering(&*child.inode);
            child.mount = Some(mount);
        }
        Ok(child)
    }

    fn look_up(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.place.inode.lookup(name)
    }

    /// Goes to the parent, never above the process's root. Linux: `follow_dotdot()`.
    fn up(&mut self) -> Result<()> {
        if self.is_at(self.start) {
            self.refuse(Resolve::BENEATH)?;
        }
        loop {
            if self.is_at(self.root) {
                return Ok(());
            }
            if !self.place.is_mount_root() {
                break;
            }
            let Some(point) = self.place.mount.mount_point.clone() else {
                return Ok(());
            };
            self.refuse(Resolve::NO_XDEV)?;
            self.place.move_to(Found::at(Place::of(&point)));
        }
        self.place.inode = Cow::Owned(self.place.inode.parent()?);
        self.place.cross_down();
        Ok(())
    }

    fn is_at(&self, location: &Location) -> bool {
        let place = &self.place;
        place.mount.id == location.mount.id && place.inode.number() == location.inode.number()
    }

    /// Puts a link's target in front of `rest`, or returns the object that a link of `/proc` leads to.
    fn follow(&mut self, link: &Found, rest: &[u8]) -> Result<Option<Place>> {
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::ELOOP)?;
        if self.resolve.contains(Resolve::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        let (place, location) = match self.target(link)? {
            Target::Text(text) => return self.follow_text(text, rest).map(|()| None),
            Target::Place(place) => (place, None),
            Target::Location(location) => (Place::of(&location), Some(location)),
        };
        self.check_jump(&place)?;
        if !rest.is_empty() && !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.jumped = location;
        Ok(Some(place))
    }

    /// Checks that the walk may go straight to a place. Linux: fs/namei.c `nd_jump_link()`.
    fn check_jump(&self, place: &Place) -> Result<()> {
        if self.resolve.contains(Resolve::NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        if place.mount.id != self.place.mount.id {
            self.refuse(Resolve::NO_XDEV)?;
        }
        self.refuse(Resolve::BENEATH | Resolve::IN_ROOT)
    }

    fn follow_text(&mut self, mut text: Vec<u8>, rest: &[u8]) -> Result<()> {
        match text.first() {
            None => return Err(Errno::ENOENT),
            Some(b'/') => {
                self.refuse(Resolve::BENEATH)?;
                if self.root.mount.id != self.place.mount.id {
                    self.refuse(Resolve::NO_XDEV)?;
                }
                self.place = Standing::at(self.root);
            }
            Some(_) => {}
        }
        text.extend_from_slice(rest);
        self.text = Cow::Owned(text);
        self.position = 0;
        Ok(())
    }

    fn target(&self, link: &Found) -> Result<Target> {
        let magic = self.task.and_then(|task| link.inode.magic_link(task));
        let Some(magic) = magic else {
            return link.inode.read_link().map(Target::Text);
        };
        Ok(match magic? {
            MagicLink::Text(text) => Target::Text(text),
            MagicLink::Location(location) => Target::Location(location),
            MagicLink::Description(description) => Target::Place(Place {
                mount: Arc::clone(link.mount.as_ref().unwrap_or(&self.place.mount)),
                inode: Arc::new(DescriptionInode(description)),
            }),
        })
    }

    /// Checks that the walk may look into the directory that it stands at.
    fn check_search(&self) -> Result<()> {
        if !self.place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if self.credentials.is_privileged() {
            return Ok(());
        }
        check(&**self.place.inode, self.credentials, Wanted::EXECUTE)
    }
}

fn slashes_in_front(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'/').count()
}

fn length_of_component(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(text.len())
}

fn kind_of(component: &[u8]) -> LastKind {
    match component {
        b"." => LastKind::Dot,
        b".." => LastKind::DotDot,
        _ => LastKind::Normal,
    }
}
