//! A tar into a directory of the container.
//!
//! The tar is a stranger's, as is the container. Members' names are walked by the kernel inside of the container's root, so a link among
//! them leads nowhere else; `..` in a name is refused. What cannot be made ends the extraction and leaves what is there by then, as
//! with Docker and tar.

use std::io::Read;
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::{FileType, OpenFlags};
use minke_archive::{Change, Content, Extended, Member, MemberKind, Modified, Reader, Whiteouts};
use minke_kernel::vfs::device::device_number;
use minke_kernel::vfs::{AttributeChange, Inode, Location, NewInode, Ownership, Timestamp};

use super::request::Owners;
use super::{Files, FilesError, PIECE_BYTES, RootWrites, at, text};

/// Bounds the members of one tar, whose directories' times are set last.
const MEMBERS_MAX: usize = 4 << 20;

/// Permission bits of a directory that a tar has only files of.
const DIRECTORY_MODE: u32 = 0o755;

impl Files {
    /// Makes the members of a tar below a directory.
    pub(super) fn extract(
        &self,
        path: &[u8],
        owners: Owners,
        source: &mut impl Read,
    ) -> Result<(), FilesError> {
        let top = self.tree.find(path).map_err(at(path))?;
        if top.inode.file_type() != FileType::Directory {
            return Err(FilesError::NotDirectory { path: text(path) });
        }
        self.check_writable(&top, path)?;
        let mut extraction = Extraction {
            files: self,
            top: path,
            owners,
            piece: vec![0; PIECE_BYTES],
            directories: Vec::new(),
        };
        let mut reader = Reader::new(&mut *source, Whiteouts::Keep);
        let mut count = 0;
        while let Some(change) = reader.next_change()? {
            count += 1;
            if count > MEMBERS_MAX {
                return Err(FilesError::TooMany { max: MEMBERS_MAX });
            }
            if let Change::Add(member) = change {
                extraction.add(&member, &mut reader)?;
            }
        }
        extraction.finish()?;
        // What lies behind the tar's end is the client's padding.
        std::io::copy(source, &mut std::io::sink())?;
        top.inode.sync().map_err(at(path))
    }

    /// Refuses what would not be there later. Docker: `container rootfs is marked read-only`.
    fn check_writable(&self, location: &Location, path: &[u8]) -> Result<(), FilesError> {
        let is_root = location.mount.mount_point.is_none();
        if location.mount.options.is_read_only {
            let what = match is_root {
                true => "container rootfs",
                false => "mounted volume",
            };
            let path = text(path);
            return Err(FilesError::ReadOnly { what, path });
        }
        match is_root && self.root_writes == RootWrites::Lost {
            true => Err(FilesError::NotKept { path: text(path) }),
            false => Ok(()),
        }
    }
}

/// A tar that is being extracted.
struct Extraction<'a> {
    files: &'a Files,
    top: &'a [u8],
    owners: Owners,
    piece: Vec<u8>,
    /// Directories whose times are set when all that is in them is there.
    directories: Vec<(Vec<u8>, Modified)>,
}

impl Extraction<'_> {
    fn add(
        &mut self,
        member: &Member<Content>,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), FilesError> {
        let names = names(&member.path)?;
        let Some((name, directories)) = names.split_last() else {
            // The directory itself, which stays as it is.
            return Ok(());
        };
        let path = self.path_of(&names);
        let parent = self.directory(directories)?;
        self.files.check_writable(&parent, &path)?;
        let existing = match parent.inode.lookup(name) {
            Err(Errno::ENOENT) => None,
            found => Some(found.map_err(at(&path))?),
        };
        if member.kind == MemberKind::Directory {
            return self.make_directory(&parent, (name, path), existing, member);
        }
        if let Some(existing) = existing {
            make_room(&parent, name, &existing, &path)?;
        }
        self.make(&parent, (name, &path), member, reader)
    }

    /// Makes what is not a directory.
    fn make(
        &mut self,
        parent: &Arc<Location>,
        (name, path): (&[u8], &[u8]),
        member: &Member<Content>,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), FilesError> {
        let new = match &member.kind {
            MemberKind::Regular(_) => NewInode::Regular,
            MemberKind::Directory => NewInode::Directory,
            MemberKind::Symlink(target) => NewInode::Symlink(target),
            MemberKind::Fifo => NewInode::Fifo,
            MemberKind::CharacterDevice { major, minor } => {
                NewInode::CharacterDevice(device_number(*major, *minor))
            }
            MemberKind::BlockDevice { major, minor } => {
                NewInode::BlockDevice(device_number(*major, *minor))
            }
            MemberKind::HardLink(target) => {
                let target = self.path_of(&names(target)?);
                let target = self.files.tree.find_unfollowed(&target);
                let target = target.map_err(at(path))?;
                if target.mount.id != parent.mount.id {
                    return Err(at(path)(Errno::EXDEV));
                }
                let linked = parent.inode.link(name, &target.inode);
                return linked.map_err(at(path));
            }
        };
        let ownership = self.ownership(member, member.mode);
        let made = parent.inode.create(name, &new, ownership);
        let made = made.map_err(at(path))?;
        if let MemberKind::Regular(content) = &member.kind {
            self.fill(&made, content, path, reader)?;
        }
        set_extended(&*made, &member.extended).map_err(at(path))?;
        set_time(&*made, member.modified).map_err(at(path))
    }

    /// Makes a directory, or gives the one that is there the attributes of the member.
    fn make_directory(
        &mut self,
        parent: &Arc<Location>,
        (name, path): (&[u8], Vec<u8>),
        existing: Option<Arc<dyn Inode>>,
        member: &Member<Content>,
    ) -> Result<(), FilesError> {
        let ownership = self.ownership(member, member.mode);
        let made = match existing {
            None => {
                let made = parent.inode.create(name, &NewInode::Directory, ownership);
                made.map_err(at(&path))?
            }
            Some(existing) if existing.file_type() == FileType::Directory => {
                // What is mounted there is what is meant.
                let shown = self.files.tree.find(&path).map_err(at(&path))?;
                self.files.check_writable(&shown, &path)?;
                give(&*shown.inode, ownership).map_err(at(&path))?;
                Arc::clone(&shown.inode)
            }
            Some(_) => return Err(FilesError::FileInTheWay { path: text(&path) }),
        };
        set_extended(&*made, &member.extended).map_err(at(&path))?;
        self.directories.push((path, member.modified));
        Ok(())
    }

    fn fill(
        &mut self,
        inode: &Arc<dyn Inode>,
        content: &Content,
        path: &[u8],
        reader: &mut Reader<impl Read>,
    ) -> Result<(), FilesError> {
        let file = Arc::clone(inode)
            .open(OpenFlags::WRONLY)
            .map_err(at(path))?;
        loop {
            let (mut offset, count) = reader.read_content(&mut self.piece)?;
            if count == 0 {
                break;
            }
            let mut left = &self.piece[..count];
            while !left.is_empty() {
                let written = file.write_at(left, offset).map_err(at(path))?;
                if written == 0 {
                    return Err(at(path)(Errno::ENOSPC));
                }
                left = &left[written..];
                offset += written as u64;
            }
        }
        if content.segments.is_some() {
            // A hole at the end.
            let size = AttributeChange {
                size: Some(content.size),
                ..AttributeChange::default()
            };
            inode.set_attributes(&size).map_err(at(path))?;
        }
        Ok(())
    }

    fn ownership(&self, member: &Member<Content>, mode: u32) -> Ownership {
        let (uid, gid) = match self.owners {
            Owners::Root => (0, 0),
            Owners::Kept => (member.uid, member.gid),
        };
        Ownership { uid, gid, mode }
    }

    fn path_of(&self, names: &[&[u8]]) -> Vec<u8> {
        let mut path = self.top.to_vec();
        for name in names {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }

    /// Finds the directory of a member, and makes what a tar has left out on the way.
    fn directory(&self, names: &[&[u8]]) -> Result<Arc<Location>, FilesError> {
        let path = self.path_of(names);
        let found = match self.files.tree.find(&path) {
            Err(Errno::ENOENT) => {
                self.make_directories(names)?;
                self.files.tree.find(&path)
            }
            found => found,
        };
        let found = found.map_err(at(&path))?;
        match found.inode.file_type() {
            FileType::Directory => Ok(found),
            _ => Err(FilesError::NotDirectory { path: text(&path) }),
        }
    }

    fn make_directories(&self, names: &[&[u8]]) -> Result<(), FilesError> {
        let ownership = Ownership {
            uid: 0,
            gid: 0,
            mode: DIRECTORY_MODE,
        };
        for end in 0..names.len() {
            let parent = self.path_of(&names[..end]);
            let parent = self.files.tree.find(&parent).map_err(at(&parent))?;
            let path = self.path_of(&names[..=end]);
            self.files.check_writable(&parent, &path)?;
            let made = parent
                .inode
                .create(names[end], &NewInode::Directory, ownership);
            match made {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(at(&path)(errno)),
            }
        }
        Ok(())
    }

    /// Sets the times of directories, the deepest first.
    fn finish(self) -> Result<(), FilesError> {
        for (path, modified) in self.directories.iter().rev() {
            match self.files.tree.find(path) {
                // A later member may have replaced what leads there, and guests run on.
                Err(_) => {}
                Ok(directory) => set_time(&*directory.inode, *modified).map_err(at(path))?,
            }
        }
        Ok(())
    }
}

/// Takes away what a member replaces, which is no directory.
fn make_room(
    parent: &Location,
    name: &[u8],
    existing: &Arc<dyn Inode>,
    path: &[u8],
) -> Result<(), FilesError> {
    if existing.file_type() == FileType::Directory {
        return Err(FilesError::DirectoryInTheWay { path: text(path) });
    }
    // Linux: a mount point cannot be removed.
    if parent.mount.covering(&**existing).is_some() {
        return Err(at(path)(Errno::EBUSY));
    }
    match parent.inode.unlink(name) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(at(path)(errno)),
    }
}

/// Returns the names of a member's path; an absolute one is taken for one below the directory, as by tar.
fn names(path: &[u8]) -> Result<Vec<&[u8]>, FilesError> {
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    match names.contains(&&b".."[..]) {
        true => Err(FilesError::Outside { path: text(path) }),
        false => Ok(names),
    }
}

/// Gives a directory that was there a mode, and an owner where that can be changed.
fn give(inode: &dyn Inode, ownership: Ownership) -> Result<(), Errno> {
    inode.set_attributes(&AttributeChange {
        mode: Some(ownership.mode),
        ..AttributeChange::default()
    })?;
    let owner = inode.set_attributes(&AttributeChange {
        uid: Some(ownership.uid),
        gid: Some(ownership.gid),
        ..AttributeChange::default()
    });
    match owner {
        // In a directory of the host all belongs to its user.
        Err(Errno::EPERM) => Ok(()),
        given => given,
    }
}

fn set_time(inode: &dyn Inode, modified: Modified) -> Result<(), Errno> {
    let modified = Some(Timestamp {
        seconds: modified.seconds,
        nanoseconds: modified.nanoseconds,
    });
    let set = inode.set_attributes(&AttributeChange {
        modified,
        ..AttributeChange::default()
    });
    match set {
        // Devices of the host, and links on file systems without times of their own.
        Err(Errno::EPERM | Errno::EOPNOTSUPP) => Ok(()),
        set => set,
    }
}

/// Sets extended attributes as far as the file system has them.
fn set_extended(inode: &dyn Inode, extended: &Extended) -> Result<(), Errno> {
    for (name, value) in extended {
        match inode.set_extended_attribute(name, Some(value)) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
