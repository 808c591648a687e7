//! A file system in memory that is plainly right, and its comparison with ours.

use std::collections::{BTreeMap, BTreeSet};

use minke_ext4::{AttributeMode, Device, Error, FileSystem, FileType, InodeNumber, RenameMode};

/// An inode of the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelInode {
    pub(crate) kind: FileType,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) links: u32,
    pub(crate) content: Vec<u8>,
    pub(crate) entries: BTreeMap<Vec<u8>, InodeNumber>,
    pub(crate) parent: InodeNumber,
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) opened: u32,
    pub(crate) modified: i64,
    /// It may have blocks that were given to it and not written.
    pub(crate) is_preallocated: bool,
}

/// Inodes by the numbers that ours has given them.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) inodes: BTreeMap<InodeNumber, ModelInode>,
}

impl ModelInode {
    pub(crate) fn new(kind: FileType, mode: u16, parent: InodeNumber) -> ModelInode {
        ModelInode {
            kind,
            mode,
            uid: 0,
            links: if kind == FileType::Directory { 2 } else { 1 },
            content: Vec::new(),
            entries: BTreeMap::new(),
            parent,
            attributes: BTreeMap::new(),
            opened: 0,
            modified: 0,
            is_preallocated: false,
        }
    }
}

impl Model {
    /// Takes an image as `mke2fs` left it: a top directory with `lost+found`.
    pub(crate) fn of<D: Device>(system: &FileSystem<D>) -> Model {
        let lost = system.lookup(InodeNumber::ROOT, b"lost+found").unwrap();
        let mut root = ModelInode::new(FileType::Directory, 0o755, InodeNumber::ROOT);
        root.links = 3;
        root.entries.insert(b"lost+found".to_vec(), lost);
        let lost_inode = ModelInode::new(FileType::Directory, 0o700, InodeNumber::ROOT);
        Model {
            inodes: BTreeMap::from([(InodeNumber::ROOT, root), (lost, lost_inode)]),
        }
    }

    pub(crate) fn inode(&mut self, number: InodeNumber) -> &mut ModelInode {
        self.inodes.get_mut(&number).unwrap()
    }

    fn child(&self, directory: InodeNumber, name: &[u8]) -> Option<InodeNumber> {
        self.inodes[&directory].entries.get(name).copied()
    }

    /// What creating a name has to answer, before it is done.
    pub(crate) fn check_create(&self, directory: InodeNumber, name: &[u8]) -> Result<(), Error> {
        let inode = &self.inodes[&directory];
        match () {
            () if name.len() > 255 => Err(Error::NameTooLong),
            () if inode.kind != FileType::Directory => Err(Error::NotDirectory),
            () if inode.links == 0 => Err(Error::NotFound),
            () if inode.entries.contains_key(name) => Err(Error::Exists),
            () => Ok(()),
        }
    }

    pub(crate) fn create(
        &mut self,
        directory: InodeNumber,
        name: &[u8],
        number: InodeNumber,
        inode: ModelInode,
    ) {
        if inode.kind == FileType::Directory {
            self.inode(directory).links += 1;
        }
        assert!(
            self.inodes.insert(number, inode).is_none(),
            "inode {number} is used"
        );
        self.inode(directory).entries.insert(name.to_vec(), number);
    }

    pub(crate) fn check_link(
        &self,
        directory: InodeNumber,
        name: &[u8],
        target: InodeNumber,
    ) -> Result<(), Error> {
        let inode = &self.inodes[&directory];
        match () {
            () if inode.kind != FileType::Directory => Err(Error::NotDirectory),
            () if inode.links == 0 => Err(Error::NotFound),
            () if self.inodes[&target].kind == FileType::Directory => Err(Error::IsDirectory),
            () if self.inodes[&target].links == 0 => Err(Error::NotFound),
            () => self.check_create(directory, name),
        }
    }

    pub(crate) fn link(&mut self, directory: InodeNumber, name: &[u8], target: InodeNumber) {
        self.inode(directory).entries.insert(name.to_vec(), target);
        self.inode(target).links += 1;
    }

    fn check_in(&self, directory: InodeNumber) -> Result<(), Error> {
        match &self.inodes[&directory] {
            inode if inode.kind != FileType::Directory => Err(Error::NotDirectory),
            inode if inode.links == 0 => Err(Error::NotFound),
            _ => Ok(()),
        }
    }

    pub(crate) fn unlink(&mut self, directory: InodeNumber, name: &[u8]) -> Result<(), Error> {
        self.check_in(directory)?;
        let child = self.child(directory, name).ok_or(Error::NotFound)?;
        if self.inodes[&child].kind == FileType::Directory {
            return Err(Error::IsDirectory);
        }
        self.inode(directory).entries.remove(name);
        self.drop_link(child);
        Ok(())
    }

    fn drop_link(&mut self, number: InodeNumber) {
        self.inode(number).links -= 1;
        self.collect(number);
    }

    fn collect(&mut self, number: InodeNumber) {
        if self.inodes[&number].links == 0 && self.inodes[&number].opened == 0 {
            self.inodes.remove(&number);
        }
    }

    pub(crate) fn remove_directory(
        &mut self,
        directory: InodeNumber,
        name: &[u8],
    ) -> Result<(), Error> {
        self.check_in(directory)?;
        let child = self.child(directory, name).ok_or(Error::NotFound)?;
        self.check_empty(child)?;
        self.inode(directory).entries.remove(name);
        self.drop_directory(directory, child);
        Ok(())
    }

    fn check_empty(&self, number: InodeNumber) -> Result<(), Error> {
        match &self.inodes[&number] {
            inode if inode.kind != FileType::Directory => Err(Error::NotDirectory),
            inode if !inode.entries.is_empty() => Err(Error::NotEmpty),
            _ => Ok(()),
        }
    }

    fn drop_directory(&mut self, parent: InodeNumber, number: InodeNumber) {
        self.inode(parent).links -= 1;
        self.inode(number).links = 0;
        self.collect(number);
    }

    fn check_not_below(&self, moved: InodeNumber, directory: InodeNumber) -> Result<(), Error> {
        if self.inodes[&moved].kind != FileType::Directory {
            return Ok(());
        }
        let mut ancestor = directory;
        while ancestor != InodeNumber::ROOT {
            if ancestor == moved {
                return Err(Error::InvalidArgument);
            }
            ancestor = self.inodes[&ancestor].parent;
        }
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        (old_directory, old_name): (InodeNumber, &[u8]),
        (new_directory, new_name): (InodeNumber, &[u8]),
        mode: RenameMode,
    ) -> Result<(), Error> {
        self.check_in(old_directory)?;
        self.check_in(new_directory)?;
        let source = self.child(old_directory, old_name).ok_or(Error::NotFound)?;
        let target = self.child(new_directory, new_name);
        self.check_not_below(source, new_directory)?;
        let Some(target) = target else {
            if mode == RenameMode::Exchange {
                return Err(Error::NotFound);
            }
            self.move_name(source, (old_directory, old_name), (new_directory, new_name));
            return Ok(());
        };
        match mode {
            RenameMode::KeepExisting => return Err(Error::Exists),
            RenameMode::Exchange => {
                self.check_not_below(target, old_directory)?;
                self.move_name(source, (old_directory, old_name), (new_directory, new_name));
                self.move_entry(target, new_directory, (old_directory, old_name));
                return Ok(());
            }
            RenameMode::Replace if source == target => return Ok(()),
            RenameMode::Replace => {}
        }
        match (self.inodes[&source].kind, self.inodes[&target].kind) {
            (FileType::Directory, _) => self.check_empty(target)?,
            (_, FileType::Directory) => return Err(Error::IsDirectory),
            _ => {}
        }
        self.move_name(source, (old_directory, old_name), (new_directory, new_name));
        match self.inodes[&target].kind {
            FileType::Directory => self.drop_directory(new_directory, target),
            _ => self.drop_link(target),
        }
        Ok(())
    }

    fn move_name(
        &mut self,
        source: InodeNumber,
        old: (InodeNumber, &[u8]),
        new: (InodeNumber, &[u8]),
    ) {
        self.inode(old.0).entries.remove(old.1);
        self.move_entry(source, old.0, new);
    }

    fn move_entry(
        &mut self,
        source: InodeNumber,
        old_directory: InodeNumber,
        (directory, name): (InodeNumber, &[u8]),
    ) {
        self.inode(directory).entries.insert(name.to_vec(), source);
        if self.inodes[&source].kind == FileType::Directory {
            self.inode(old_directory).links -= 1;
            self.inode(directory).links += 1;
            self.inode(source).parent = directory;
        }
    }

    pub(crate) fn check_attribute(
        &self,
        number: InodeNumber,
        name: &[u8],
        mode: AttributeMode,
    ) -> Result<(), Error> {
        let exists = self.inodes[&number].attributes.contains_key(name);
        match mode {
            AttributeMode::Create if exists => Err(Error::Exists),
            AttributeMode::Replace if !exists => Err(Error::NoAttribute),
            _ => Ok(()),
        }
    }

    pub(crate) fn close(&mut self, number: InodeNumber) {
        self.inode(number).opened -= 1;
        self.collect(number);
    }

    /// Numbers of all inodes of a kind.
    pub(crate) fn of_kind(&self, is_wanted: impl Fn(FileType) -> bool) -> Vec<InodeNumber> {
        self.inodes
            .iter()
            .filter(|(_, inode)| is_wanted(inode.kind))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Compares all that has a name.
    pub(crate) fn compare<D: Device>(&self, system: &FileSystem<D>, what: &str) {
        let mut seen = BTreeSet::new();
        let mut left = vec![InodeNumber::ROOT];
        while let Some(number) = left.pop() {
            if seen.insert(number) {
                self.compare_inode(system, number, what);
                left.extend(self.inodes[&number].entries.values());
            }
        }
    }

    fn compare_inode<D: Device>(&self, system: &FileSystem<D>, number: InodeNumber, what: &str) {
        let expected = &self.inodes[&number];
        let found = system.metadata(number).unwrap();
        assert_eq!(
            (found.file_type, found.mode, found.links, found.uid),
            (expected.kind, expected.mode, expected.links, expected.uid),
            "{what}: inode {number}"
        );
        if expected.modified != 0 {
            assert_eq!(
                found.modified.seconds, expected.modified,
                "{what}: inode {number}"
            );
        }
        match expected.kind {
            FileType::Regular => {
                assert_eq!(
                    found.size,
                    expected.content.len() as u64,
                    "{what}: inode {number}"
                );
                let mut content = vec![0xff; expected.content.len()];
                system.read(number, 0, &mut content).unwrap();
                let differs = content
                    .iter()
                    .zip(&expected.content)
                    .position(|(a, b)| a != b);
                assert_eq!(
                    differs,
                    None,
                    "{what}: inode {number} of {} bytes",
                    content.len()
                );
            }
            FileType::Symlink => assert_eq!(
                system.read_link(number).unwrap(),
                expected.content,
                "{what}"
            ),
            FileType::Directory => {
                let mut names = BTreeMap::new();
                system
                    .read_directory(number, 0, &mut |entry| {
                        let inode = &self.inodes[&entry.inode];
                        assert_eq!(entry.file_type, inode.kind, "{what}");
                        assert!(
                            names.insert(entry.name.clone(), entry.inode).is_none(),
                            "{what}: listed twice"
                        );
                        true
                    })
                    .unwrap();
                assert_eq!(names, expected.entries, "{what}: directory {number}");
                assert_eq!(
                    system.parent(number).unwrap(),
                    expected.parent,
                    "{what}: directory {number}"
                );
            }
            _ => {}
        }
        let mut names = system.extended_attributes(number).unwrap();
        names.sort();
        assert!(
            names.iter().eq(expected.attributes.keys()),
            "{what}: inode {number}"
        );
        for (name, value) in &expected.attributes {
            assert_eq!(
                system.extended_attribute(number, name).unwrap(),
                *value,
                "{what}"
            );
        }
    }
}
